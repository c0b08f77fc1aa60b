//! In steady state nothing is allocated for a forwarded packet, however many consumers there are.

use rivero_engine::graph::{NodeSpec, Selection};
use rivero_engine::node::DEFAULT_PORTS;
use rivero_engine::testing::{Bench, video};
use rivero_engine::{Input, Node, Outbox, Packet};
use std::time::Duration;

/// Sends a burst of packets every 40 ms.
struct Camera(Vec<Packet>);

impl Node for Camera {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        if let Input::Deadline | Input::Command(_) = input {
            for packet in &self.0 {
                out.media(1, packet.clone());
            }
            out.wake_at(Some(out.now() + Duration::from_millis(40)));
        }
    }
}

/// Counts packets.
#[derive(Default)]
struct Viewer {
    seen: u64,
}

impl Node for Viewer {
    fn handle(&mut self, input: Input, _out: &mut Outbox) {
        if let Input::Media { .. } = input {
            self.seen += 1;
        }
    }
}

fn spec(label: &str, build: impl FnOnce() -> Box<dyn Node> + Send + 'static) -> NodeSpec {
    NodeSpec {
        class: "Test",
        label: label.to_owned(),
        inputs: DEFAULT_PORTS.to_vec(),
        outputs: DEFAULT_PORTS.to_vec(),
        build: Box::new(move |_| build()),
        worker: None,
    }
}

#[test]
fn a_hundred_consumers_cost_no_allocation() {
    let mut bench = Bench::new(1);
    let pipeline = bench.pipeline();
    let burst: Vec<Packet> = (0..10).map(|n| video(n, n == 0)).collect();
    let camera = bench.run(pipeline.add(spec("camera", || Box::new(Camera(burst))))).expect("a worker takes it");
    for n in 0..100 {
        let viewer = spec(&format!("viewer {n}"), || Box::new(Viewer::default()));
        let viewer = bench.run(pipeline.add(viewer)).expect("a worker takes it");
        bench.run(camera.connect(&viewer, &Selection::all())).expect("same pipeline");
    }
    bench.run(camera.tell(())).expect("alive");
    bench.advance(Duration::from_secs(1));
    let before = bench.run(camera.report()).expect("alive").outputs[1].packets;
    let measured = allocation_counter::measure(|| bench.advance(Duration::from_secs(4)));
    let forwarded = (bench.run(camera.report()).expect("alive").outputs[1].packets - before) * 100;
    assert_eq!(forwarded, 100_000);
    // A handful for the timers of a hundred bursts; none for a packet.
    assert!(measured.count_total <= 600, "{} allocations for {forwarded} packets", measured.count_total);
}

#[test]
fn a_packet_crosses_once_for_a_hundred_consumers_on_another_worker() {
    let mut bench = Bench::new(2);
    let pipeline = bench.pipeline();
    let burst: Vec<Packet> = (0..10).map(|n| video(n, n == 0)).collect();
    let on = |worker, spec| NodeSpec { worker: Some(worker), ..spec };
    let camera = on(0, spec("camera", || Box::new(Camera(burst))));
    let camera = bench.run(pipeline.add(camera)).expect("a worker takes it");
    for n in 0..100 {
        let viewer = on(1, spec(&format!("viewer {n}"), || Box::new(Viewer::default())));
        let viewer = bench.run(pipeline.add(viewer)).expect("a worker takes it");
        bench.run(camera.connect(&viewer, &Selection::all())).expect("same pipeline");
    }
    bench.run(camera.tell(())).expect("alive");
    bench.advance(Duration::from_secs(1));
    let packets = |bench: &mut Bench| {
        let report = bench.run(camera.report()).expect("alive");
        let links: u64 = report.outputs[1].links.iter().map(|link| link.packets).sum();
        (report.outputs[1].packets, links)
    };
    let before = packets(&mut bench);
    let measured = allocation_counter::measure(|| bench.advance(Duration::from_secs(4)));
    let after = packets(&mut bench);
    assert_eq!((after.0 - before.0, after.1 - before.1), (1000, 100_000));
    // Two for the copy of each packet that the other worker makes for itself; a handful for each of a hundred batches.
    assert!(measured.count_total <= 3000, "{} allocations for 1000 packets", measured.count_total);
}
