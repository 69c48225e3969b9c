//! The proxy that carries the links: it forwards bytes, applies toxics, counts what they touch and sends canaries. In real
//! runs it lives in a process of its own (`keeper`), in virtual time beside everything else; both hear the same requests.

mod backlog;
mod canary;
mod link;
mod machine;
pub mod message;
mod pump;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

pub use canary::CANARY_TIMEOUT;
use link::Link;
use machine::Machine;
pub use message::{Ask, Reply, Vitals};

use crate::world::World;

/// All links of one proxy.
pub struct Links {
    world: World,
    links: RefCell<BTreeMap<String, Rc<Link>>>,
    machine: Rc<Machine>,
    dismissed: Cell<bool>,
}

impl Links {
    pub fn new(world: World) -> Links {
        Links { machine: Machine::of(&world), world, links: RefCell::default(), dismissed: Cell::new(false) }
    }

    /// Carries out one request.
    pub async fn handle(&self, ask: Ask) -> Reply {
        match self.carry_out(ask).await {
            Ok(reply) => reply,
            Err(error) => Reply::Failed { error },
        }
    }

    async fn carry_out(&self, ask: Ask) -> Result<Reply, String> {
        match ask {
            Ask::Open { link, listen, upstream, canary } => {
                let opened = Link::open(self.world.clone(), listen, upstream, canary, &self.machine).await?;
                let listen = opened.address();
                self.links.borrow_mut().insert(link, opened);
                Ok(Reply::Opened { listen })
            }
            Ask::Inject { link, fault, toxic } => {
                self.link(&link)?.inject(&fault, toxic).await;
                Ok(Reply::Done)
            }
            Ask::Clear { link, fault } => {
                self.link(&link)?.clear(&fault).await?;
                Ok(Reply::Done)
            }
            Ask::Redirect { link, upstream, stay } => {
                self.link(&link)?.redirect(upstream, stay);
                Ok(Reply::Done)
            }
            Ask::GoBack { link } => {
                self.link(&link)?.go_back();
                Ok(Reply::Done)
            }
            Ask::State { link } => Ok(Reply::State(self.link(&link)?.state())),
            Ask::Canary { link, timeout } => {
                let link = self.link(&link)?;
                Ok(canary::send(&self.world, &link, timeout).await)
            }
            Ask::Touched { link, fault } => Ok(Reply::Touched { counts: self.link(&link)?.touched(&fault) }),
            // Beside everything else it has no beat of its own.
            Ask::Look => Ok(Reply::Look { refused: self.machine.refused(), vitals: Vitals::default() }),
            Ask::Dismiss => {
                self.dismiss();
                Ok(Reply::Done)
            }
        }
    }

    fn link(&self, name: &str) -> Result<Rc<Link>, String> {
        self.links.borrow().get(name).cloned().ok_or_else(|| format!("no link `{name}` is open"))
    }

    /// Heals every fault on every link, all at once; traffic keeps passing.
    pub async fn heal(&self) -> Result<(), String> {
        let links: Vec<_> = self.links.borrow().values().cloned().collect();
        let heal = |link: Rc<Link>| self.world.spawn(async move { link.heal().await });
        let healing: Vec<_> = links.into_iter().map(heal).collect();
        let mut failed = Vec::new();
        for healed in healing {
            failed.extend(healed.await.unwrap_or_else(|error| Err(error.to_string())).err());
        }
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }

    /// Nothing is in force on any link.
    pub fn is_whole(&self) -> bool {
        self.links.borrow().values().all(|link| link.is_whole())
    }

    /// Whether nothing is in force on a link any more; one that was never opened is whole.
    ///
    /// # Errors
    /// In words: what still is.
    pub fn healed(&self, name: &str) -> Result<(), String> {
        match self.links.borrow().get(name) {
            Some(link) if !link.is_whole() => Err(format!("link `{name}` is {:?}", link.state())),
            _ => Ok(()),
        }
    }

    /// Nobody will ask for anything again: it may leave as soon as nobody uses its links.
    pub fn dismiss(&self) {
        self.dismissed.set(true);
    }

    /// Somebody said goodbye.
    pub fn dismissed(&self) -> bool {
        self.dismissed.get()
    }

    /// Connections that are open on all links.
    pub fn connections(&self) -> usize {
        self.links.borrow().values().map(|link| link.connections()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, split};

    use super::message::{CanaryResult, Sighting};
    use super::*;
    use crate::experiment::Canary;
    use crate::toxic::{Direction, Toxic};
    use crate::units::Micros;
    use crate::world::{Origin, Stream, run_real, run_virtual};

    const ANY: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

    async fn echo(world: &World) -> SocketAddr {
        let mut listener = world.listen(ANY.into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = world.clone();
        world.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tasks.spawn(async move {
                    let mut buffer = [0; 1024];
                    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                        stream.write_all(&buffer[..n]).await.unwrap();
                    }
                    stream.shutdown().await.ok();
                });
            }
        });
        address
    }

    async fn open(world: &World) -> (Rc<Links>, SocketAddr) {
        let upstream = echo(world).await;
        open_to(world, upstream).await
    }

    async fn open_to(world: &World, upstream: SocketAddr) -> (Rc<Links>, SocketAddr) {
        let links = Rc::new(Links::new(world.clone()));
        let canary = Some(Canary::Bytes { send: "hi".into(), expect: "hi".into() });
        let ask = Ask::Open { link: "l".into(), listen: ANY.into(), upstream, canary };
        let Reply::Opened { listen } = links.handle(ask).await else { panic!("not opened") };
        (links, listen)
    }

    async fn ping(world: &World, stream: &mut Stream) -> Option<Micros> {
        let sent = world.now();
        stream.write_all(b"ping").await.ok()?;
        let mut answer = [0; 4];
        world.timeout(Micros::secs(2), stream.read_exact(&mut answer)).await.ok()?.ok()?;
        Some(world.now() - sent)
    }

    async fn inject(links: &Links, toxic: Toxic) {
        let reply = links.handle(Ask::Inject { link: "l".into(), fault: "f".into(), toxic }).await;
        assert_eq!(reply, Reply::Done);
    }

    async fn clear(links: &Links) {
        assert_eq!(links.handle(Ask::Clear { link: "l".into(), fault: "f".into() }).await, Reply::Done);
    }

    async fn sighting(links: &Links) -> Sighting {
        let ask = Ask::Canary { link: "l".into(), timeout: Micros::millis(500) };
        let Reply::Canary(sighting) = links.handle(ask).await else { panic!("no canary") };
        sighting
    }

    async fn canary(links: &Links) -> CanaryResult {
        sighting(links).await.saw
    }

    async fn touched(links: &Links) -> Option<crate::record::Touched> {
        let ask = Ask::Touched { link: "l".into(), fault: "f".into() };
        let Reply::Touched { counts } = links.handle(ask).await else { panic!("no counts") };
        counts
    }

    #[test]
    fn latency_delays_answers_exactly_and_is_gone_at_once_when_cleared() {
        run_virtual(|world| async move {
            let (links, address) = open(&world).await;
            let mut stream = world.connect(address).await.unwrap();
            assert_eq!(ping(&world, &mut stream).await, Some(Micros::ZERO));
            let (latency, jitter) = (Micros::millis(250), Micros::ZERO);
            inject(&links, Toxic::Latency { latency, jitter, direction: Direction::Downstream }).await;
            assert_eq!(ping(&world, &mut stream).await, Some(Micros::millis(250)));
            let late = Sighting { saw: CanaryResult::Answered, delay: Micros::millis(250), dropped: 0 };
            assert_eq!(sighting(&links).await, late);
            let counts = touched(&links).await.unwrap();
            assert_eq!((counts.connections, counts.bytes, counts.added), (1, 4, Some(latency)));
            stream.write_all(b"late").await.unwrap();
            world.sleep(Micros::millis(100)).await;
            clear(&links).await;
            let cleared = world.now();
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!((answer, world.now()), (*b"late", cleared));
        });
    }

    #[test]
    fn a_blackhole_drops_and_accepts_and_closes_what_lost_bytes_on_heal() {
        run_virtual(|world| async move {
            let (links, address) = open(&world).await;
            let mut untouched = world.connect(address).await.unwrap();
            let mut hit = world.connect(address).await.unwrap();
            ping(&world, &mut untouched).await.unwrap();
            ping(&world, &mut hit).await.unwrap();
            inject(&links, Toxic::Blackhole).await;
            assert_eq!(ping(&world, &mut hit).await, None);
            let dropped = Sighting { saw: CanaryResult::Silent, delay: Micros::ZERO, dropped: 2 };
            assert_eq!(sighting(&links).await, dropped);
            assert_eq!(touched(&links).await.unwrap().dropped_bytes, 4, "the canary's bytes do not count");
            clear(&links).await;
            assert_eq!(ping(&world, &mut hit).await, None);
            assert!(ping(&world, &mut untouched).await.is_some());
            assert_eq!(canary(&links).await, CanaryResult::Answered);
        });
    }

    #[test]
    fn a_blackhole_lets_go_whom_its_client_gave_up_and_nobody_who_waits() {
        run_virtual(|world| async move {
            let (links, address) = open(&world).await;
            let mut waits = world.connect(address).await.unwrap();
            inject(&links, Toxic::Blackhole).await;
            waits.write_all(b"ping").await.unwrap();
            for _ in 0..20 {
                let mut gives_up = world.connect(address).await.unwrap();
                gives_up.write_all(b"ping").await.unwrap();
            }
            world.sleep(Micros::millis(10)).await;
            assert_eq!(links.connections(), 1);
            assert_eq!(touched(&links).await.unwrap().dropped_bytes, 84, "they were there all the same");
        });
    }

    #[test]
    fn an_upstream_that_hangs_holds_nobody_whose_client_gave_up() {
        for queue_is_full in [false, true] {
            run_virtual(move |world| async move {
                let upstream = world.listen(ANY.into()).await.unwrap();
                let address = upstream.local_addr().unwrap();
                let mut queue = Vec::new();
                while queue_is_full && queue.len() < 4_096 {
                    queue.push(world.connect(address).await.unwrap());
                }
                let (links, link) = open_to(&world, address).await;
                let mut waits = world.connect(link).await.unwrap();
                waits.write_all(b"ping").await.unwrap();
                for _ in 0..20 {
                    let mut gives_up = world.connect(link).await.unwrap();
                    gives_up.write_all(b"ping").await.unwrap();
                    gives_up.shutdown().await.unwrap();
                }
                world.sleep(Micros::secs(20)).await;
                assert_eq!(links.connections(), 21, "an answer may still come");
                world.sleep(Micros::secs(11)).await;
                assert_eq!(links.connections(), 1, "queue full: {queue_is_full}");
            });
        }
    }

    #[test]
    fn an_upstream_that_is_gone_holds_nobody_who_reads_nothing() {
        run_virtual(|world| async move {
            let mut upstream = world.listen(ANY.into()).await.unwrap();
            let (links, link) = open_to(&world, upstream.local_addr().unwrap()).await;
            let (latency, jitter) = (Micros::SECOND, Micros::ZERO);
            inject(&links, Toxic::Latency { latency, jitter, direction: Direction::Upstream }).await;
            let mut client = world.connect(link).await.unwrap();
            let (mut server, _) = upstream.accept().await.unwrap();
            client.write_all(b"first").await.unwrap();
            let _ = world.timeout(Micros::millis(900), server.write_all(&vec![0; 8 << 20])).await;
            client.write_all(b"then").await.unwrap();
            drop(server);
            world.sleep(Micros::secs(70)).await;
            assert_eq!(links.connections(), 0);
        });
    }

    #[test]
    fn who_has_said_all_gets_a_late_answer_and_a_delay_is_no_silence() {
        run_virtual(|world| async move {
            let (links, address) = open(&world).await;
            let (latency, jitter) = (Micros::secs(70), Micros::ZERO);
            inject(&links, Toxic::Latency { latency, jitter, direction: Direction::Both }).await;
            let mut stream = world.connect(address).await.unwrap();
            stream.write_all(b"last words").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            assert_eq!((answer, world.now()), (b"last words".to_vec(), latency * 2));
        });
    }

    #[test]
    fn what_a_client_says_before_its_upstream_is_reached_comes_first() {
        run_virtual(|world| async move {
            let mut upstream = world.listen(ANY.into()).await.unwrap();
            let address = upstream.local_addr().unwrap();
            let mut queue = Vec::new();
            while queue.len() < 4_096 {
                queue.push(world.connect(address).await.unwrap());
            }
            let (_links, link) = open_to(&world, address).await;
            let mut stream = world.connect(link).await.unwrap();
            let sent: Vec<u8> = (0..200_000).map(|n| (n % 251) as u8).collect();
            let text = sent.clone();
            world.spawn(async move {
                stream.write_all(&text).await.unwrap();
                stream.shutdown().await.unwrap();
                std::future::pending::<()>().await;
            });
            world.sleep(Micros::secs(5)).await;
            for _ in 0..4_096 {
                upstream.accept().await.unwrap();
            }
            let (mut reached, _) = upstream.accept().await.unwrap();
            let mut got = Vec::new();
            reached.read_to_end(&mut got).await.unwrap();
            assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
        });
    }

    #[test]
    fn down_closes_and_refuses_until_cleared_on_real_sockets_too() {
        let check = |world: World| async move {
            let (links, address) = open(&world).await;
            let mut stream = world.connect(address).await.unwrap();
            ping(&world, &mut stream).await.unwrap();
            inject(&links, Toxic::Down).await;
            world.sleep(Micros::millis(10)).await;
            assert_eq!(ping(&world, &mut stream).await, None);
            assert_eq!(canary(&links).await, CanaryResult::Refused);
            assert_eq!(touched(&links).await.unwrap().closed_connections, 1);
            clear(&links).await;
            assert_eq!(canary(&links).await, CanaryResult::Answered);
            let mut stream = world.connect(address).await.unwrap();
            assert!(ping(&world, &mut stream).await.is_some());
        };
        run_real(Origin::now(), check);
        run_virtual(check);
    }

    #[test]
    fn whom_a_closed_port_kept_away_is_not_told_but_for_a_link_that_nobody_used() {
        run_virtual(|world| async move {
            let (links, address) = open(&world).await;
            assert_eq!(canary(&links).await, CanaryResult::Answered);
            inject(&links, Toxic::Down).await;
            assert_eq!(touched(&links).await, Some(crate::record::Touched::default()), "never used");
            clear(&links).await;
            ping(&world, &mut world.connect(address).await.unwrap()).await.unwrap();
            world.sleep(Micros::millis(10)).await;
            inject(&links, Toxic::Down).await;
            assert_eq!(touched(&links).await, None, "used, and without a connection just then");
        });
    }

    #[test]
    fn a_redirect_closes_connections_only_if_it_changes_the_upstream_and_a_heal_takes_it_back() {
        run_virtual(|world| async move {
            let (links, address) = open(&world).await;
            let state = async || match links.handle(Ask::State { link: "l".into() }).await {
                Reply::State(state) => state,
                other => panic!("no state: {other:?}"),
            };
            let first = state().await.upstream;
            let redirect = async |upstream: SocketAddr, stay| {
                let ask = Ask::Redirect { link: "l".into(), upstream, stay };
                assert_eq!(links.handle(ask).await, Reply::Done);
            };
            let mut stream = world.connect(address).await.unwrap();
            ping(&world, &mut stream).await.unwrap();
            redirect(first, false).await;
            assert!(ping(&world, &mut stream).await.is_some(), "it is there already");
            let second = echo(&world).await;
            redirect(second, false).await;
            assert!(ping(&world, &mut stream).await.is_none(), "it led elsewhere");
            inject(&links, Toxic::Down).await;
            assert_eq!((state().await.faults, state().await.listening), (vec!["f".to_owned()], false));
            assert!(links.healed("l").is_err());
            links.heal().await.unwrap();
            assert_eq!((state().await.upstream, links.healed("l")), (first, Ok(())));
            redirect(second, true).await;
            links.heal().await.unwrap();
            assert_eq!((state().await.upstream, links.healed("l")), (second, Ok(())));
        });
    }

    #[test]
    fn half_closed_connections_still_carry_the_answer() {
        run_real(Origin::now(), |world| async move {
            let (_links, address) = open(&world).await;
            let mut stream = world.connect(address).await.unwrap();
            stream.write_all(b"last words").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, b"last words");
        });
    }

    /// A server that answers before it has read all, and closes, breaks the connection: its answer is on the way by then.
    #[test]
    fn what_an_upstream_said_before_the_connection_broke_arrives() {
        run_real(Origin::now(), |world| async move {
            for (millis, sent) in [(200, 14), (200, 16 << 20), (0, 16 << 20)] {
                let server = std::net::TcpListener::bind(SocketAddr::from(ANY)).unwrap();
                let upstream = server.local_addr().unwrap();
                let answering = std::thread::spawn(move || {
                    let (mut stream, _) = server.accept().unwrap();
                    stream.peek(&mut [0; 4]).unwrap();
                    std::io::Write::write_all(&mut stream, b"too large").unwrap();
                });
                let (links, address) = open_to(&world, upstream).await;
                let (latency, jitter) = (Micros::millis(millis), Micros::ZERO);
                inject(&links, Toxic::Latency { latency, jitter, direction: Direction::Downstream }).await;
                let (mut reader, mut writer) = split(world.connect(address).await.unwrap());
                let mut answer = Vec::new();
                let both = async {
                    // Both break, once it is there.
                    let request = vec![b'x'; sent];
                    let _ = tokio::join!(writer.write_all(&request), reader.read_to_end(&mut answer));
                };
                assert!(world.timeout(Micros::secs(5), both).await.is_ok(), "{millis} ms, {sent} bytes");
                assert_eq!(answer, b"too large", "{millis} ms, {sent} bytes");
                world.sleep(Micros::millis(10)).await;
                assert_eq!(links.connections(), 0);
                answering.join().unwrap();
            }
        });
    }

    /// It costs two descriptors for as long as it is carried.
    #[test]
    fn a_client_that_broke_is_let_go_at_once_whatever_is_held_back() {
        run_real(Origin::now(), |world| async move {
            for direction in [Direction::Downstream, Direction::Upstream] {
                let (links, address) = open(&world).await;
                let mut stream = world.connect(address).await.unwrap();
                stream.write_all(b"ping").await.unwrap();
                world.sleep(Micros::millis(50)).await;
                let (latency, jitter) = (Micros::secs(60), Micros::ZERO);
                inject(&links, Toxic::Latency { latency, jitter, direction }).await;
                stream.write_all(b"ping").await.unwrap();
                world.sleep(Micros::millis(50)).await;
                assert_eq!(links.connections(), 1);
                // Whoever leaves something unread breaks the connection.
                drop(stream);
                world.sleep(Micros::millis(50)).await;
                assert_eq!(links.connections(), 0, "{direction:?}");
            }
        });
    }

    #[test]
    fn a_taken_port_is_one_sentence_with_the_next_step() {
        run_real(Origin::now(), |world| async move {
            let taken = echo(&world).await;
            let links = Links::new(world);
            let ask = Ask::Open { link: "l".into(), listen: taken, upstream: taken, canary: None };
            let Reply::Failed { error } = links.handle(ask).await else { panic!("opened a taken port") };
            assert!(error.contains("is in use") && error.contains("`listen`"), "{error}");
        });
    }
}
