/// Picks the owners from members that come in rank: the first of each zone,
/// and where there are fewer zones than replicas the next, whatever their zone.
///
/// `T` stands for a member, `Z` for its zone.
pub(crate) struct Spread<T, Z> {
    replicas: usize,
    /// At least as many as there are zones: a zone too many costs time only.
    zones: usize,
    chosen: Vec<T>,
    chosen_zones: Vec<Z>,
    passed_over: Vec<T>,
}

impl<T, Z: PartialEq> Spread<T, Z> {
    pub(crate) fn new(replicas: usize, zones: usize) -> Self {
        let (chosen, chosen_zones) = (Vec::with_capacity(replicas), Vec::with_capacity(replicas));
        Self { replicas, zones, chosen, chosen_zones, passed_over: Vec::new() }
    }

    /// Whether nobody who comes now is an owner.
    pub(crate) fn is_complete(&self) -> bool {
        self.chosen.len() >= self.replicas
            // With every zone in, nobody better than those passed over comes.
            || self.chosen.len() >= self.zones && self.chosen.len() + self.passed_over.len() >= self.replicas
    }

    /// Takes the next in rank.
    pub(crate) fn take(&mut self, member: T, zone: Z) {
        if !self.chosen_zones.contains(&zone) {
            self.chosen.push(member);
            self.chosen_zones.push(zone);
        } else if self.passed_over.len() < self.replicas {
            self.passed_over.push(member);
        }
    }

    /// The owners, first choice first.
    pub(crate) fn into_owners(self) -> impl Iterator<Item = T> {
        self.chosen.into_iter().chain(self.passed_over).take(self.replicas)
    }
}
