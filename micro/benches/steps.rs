//! Times of the steps; `cargo bench -p micro -- origin` for those with that in their names.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use micro::steps::STEPS;

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("steps");
    for step in &STEPS {
        group.throughput(Throughput::Elements(step.messages));
        let mut round = None;
        group.bench_function(step.name, |bencher| {
            let round = round.get_or_insert_with(|| step.make());
            bencher.iter_custom(|rounds| (0..rounds).map(|_| round()).sum());
        });
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
