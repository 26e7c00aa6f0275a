//! `zog-sim`: runs rings of the real core by scenario and seed.
use sim::{Scenario, Tracing, simulate};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let all = Scenario::built_in().expect("good");
    let from: u64 = a[2].parse().expect("n");
    let to: u64 = a[3].parse().expect("n");
    for s in all.iter().filter(|s| a[1] == "all" || s.name == a[1]) {
        let t = std::time::Instant::now();
        let mut v = 0;
        let mut fails = 0;
        let mut counts = sim::Counts::default();
        for seed in from..to {
            let tr = if to == from + 1 && a.len() > 4 { Tracing::Print } else { Tracing::Hash };
            let o = simulate(s, seed, tr);
            v += o.virtual_us;
            counts.add(&o.counts);
            if let Some((at, w)) = o.broken { fails += 1; if fails < 8 { println!("{} {seed}: {at} {w}", s.name); } }
            if let Some(w) = o.void { println!("{} {seed}: VOID {w}", s.name); }
        }
        let r = t.elapsed().as_secs_f64();
        println!("{} {} fails; {:.0} x; {:?}", s.name, fails, v as f64 / 1e6 / r, counts);
    }
}
