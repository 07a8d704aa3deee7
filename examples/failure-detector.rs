//! # Who notices a death, and when
//!
//! Shows: the failure detector of a whole mesh in virtual time; how detection
//! grows with the number of peers, and what packet loss does to it.
//!
//! Run: `cargo run -p shoal-examples --bin failure-detector`

use std::time::Duration;

use shoal_sim::{NetworkConditions, SwimWorld};
use shoal_types::Health;

const VICTIM: usize = 2;

fn main() {
    println!("{:>6} {:>6}  {:>10} {:>9} {:>9}", "peers", "loss", "suspected", "dead", "all know");
    for (peers, lost_per_mille) in [(5, 0), (50, 0), (200, 0), (50, 20)] {
        let network = NetworkConditions { lost_per_mille, ..NetworkConditions::default() };
        let mut world = SwimWorld::new(peers, network, 42);
        let death = Duration::from_secs(10);
        world.run_until(death);
        world.kill(VICTIM);
        let (mut suspected, mut dead, mut all) = (None, None, None);
        while all.is_none() && world.now() < 6 * death {
            world.run_until(world.now() + Duration::from_millis(100));
            let after = (world.now() - death).as_secs_f64();
            let knowing = world.observers(VICTIM, |health| health == Some(Health::Dead));
            if knowing + world.observers(VICTIM, |health| health == Some(Health::Suspected)) > 0 {
                suspected.get_or_insert(after);
            }
            if knowing > 0 {
                dead.get_or_insert(after);
            }
            if knowing == peers - 1 {
                all = Some(after);
            }
        }
        let seconds = |at: Option<f64>| at.map_or_else(|| "never".to_owned(), |at| format!("{at:.1} s"));
        let loss = format!("{} %", lost_per_mille / 10);
        println!("{peers:>6} {loss:>6}  {:>10} {:>9} {:>9}", seconds(suspected), seconds(dead), seconds(all));
    }
}
