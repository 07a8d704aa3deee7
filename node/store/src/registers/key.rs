use shoal_types::{RegisterKey, RegisterKind, RegisterPlace, RegisterSpan};

/// Keys sort as [`RegisterKey`] does: layouts by mesh and version, then
/// objects by the bytes of their names, former versions by name and number,
/// buckets.
const LAYOUT: u8 = 0;

/// Behind the keys of all layouts, and before all others.
pub(super) const LAST_LAYOUT: &[u8] = &[
    LAYOUT, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
];

/// Ends the name in the key of a version: no name has that character, and it
/// is below all that names have.
const END: u8 = 0;

const fn tag(kind: RegisterKind) -> u8 {
    match kind {
        RegisterKind::Object => 1,
        RegisterKind::Version => 2,
        RegisterKind::Bucket => 3,
    }
}

pub(super) fn encode(key: &RegisterKey) -> Vec<u8> {
    let (kind, name, version) = match key {
        RegisterKey::Layout(mesh, version) => {
            return [&[LAYOUT][..], mesh.as_bytes(), &version.to_be_bytes()].concat();
        }
        RegisterKey::Object(name) => (RegisterKind::Object, name.as_str(), 0),
        RegisterKey::Version(name, version) => (RegisterKind::Version, name.as_str(), *version),
        RegisterKey::Bucket(bucket) => (RegisterKind::Bucket, bucket.as_str(), 0),
    };
    at(kind, name, version)
}

fn at(kind: RegisterKind, name: &str, version: u64) -> Vec<u8> {
    match kind {
        RegisterKind::Version => [&[tag(kind)][..], name.as_bytes(), &[END], &version.to_be_bytes()].concat(),
        RegisterKind::Object | RegisterKind::Bucket => [&[tag(kind)][..], name.as_bytes()].concat(),
    }
}

/// What all keys of a span begin with.
pub(super) fn prefix(span: &RegisterSpan) -> Vec<u8> {
    [&[tag(span.kind)][..], span.prefix.as_bytes()].concat()
}

/// The key at a place, which need not be a register's.
pub(super) fn place(kind: RegisterKind, place: &RegisterPlace) -> Vec<u8> {
    at(kind, &place.name, place.version)
}

/// The key of a register, for people.
pub(super) fn describe(key: &[u8]) -> String {
    String::from_utf8_lossy(key.get(1..).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use shoal_types::MeshId;

    use super::*;

    fn keys() -> [RegisterKey; 10] {
        let mesh = MeshId::from_bytes([9; 16]);
        [
            RegisterKey::Version("b/a".parse().unwrap(), 256),
            RegisterKey::Bucket("b".parse().unwrap()),
            RegisterKey::Object("b/é".parse().unwrap()),
            RegisterKey::Version("b/a!".parse().unwrap(), 1),
            RegisterKey::Layout(mesh, 256),
            RegisterKey::Object("b/a".parse().unwrap()),
            RegisterKey::Version("b/a".parse().unwrap(), 2),
            RegisterKey::Layout(mesh, 2),
            RegisterKey::Object("b/z".parse().unwrap()),
            RegisterKey::Bucket("a.b".parse().unwrap()),
        ]
    }

    #[test]
    fn keys_sort_as_bytes_in_the_order_of_the_registers() {
        let mut keys = keys();
        keys.sort();
        assert!(keys.iter().map(encode).is_sorted());
        let with_place = |key: &RegisterKey| key.place().map(|at| (encode(key), at));
        for (encoded, at) in keys.iter().filter_map(with_place) {
            assert!(RegisterKind::ALL.iter().any(|kind| place(*kind, &at) == encoded));
        }
    }

    #[test]
    fn a_span_holds_what_begins_as_it_says_and_nothing_else() {
        let name = "b/a".parse().unwrap();
        let spans = RegisterKind::ALL.map(RegisterSpan::all).into_iter();
        let spans = spans.chain(RegisterKind::ALL.map(|kind| RegisterSpan::under(kind, "b/a")));
        for span in spans.chain([RegisterSpan::versions_of(&name)]) {
            for key in keys() {
                assert_eq!(encode(&key).starts_with(&prefix(&span)), span.contains(&key), "{span:?} {key}");
            }
        }
        assert_eq!(keys().iter().filter(|key| RegisterSpan::versions_of(&name).contains(key)).count(), 2);
    }
}
