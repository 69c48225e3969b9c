//! Pools in virtual time, with servers that take connections and keep them.

use super::*;
use crate::client::attempt::{Attempt, Ending, attempt};
use crate::world::{Programs, run_virtual};
use tokio::io::AsyncReadExt;

/// A server that accepts, and how many connections it has.
async fn server(world: &World) -> (SocketAddr, Rc<Cell<usize>>) {
    let mut listener = world.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let (address, open) = (listener.local_addr().unwrap(), Rc::<Cell<usize>>::default());
    let (tasks, counted) = (world.clone(), open.clone());
    world.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let open = counted.clone();
            tasks.spawn(async move {
                open.set(open.get() + 1);
                while stream.read(&mut [0; 64]).await.is_ok_and(|n| n > 0) {}
                open.set(open.get() - 1);
            });
        }
    });
    (address, open)
}

/// A request that comes to no connection in its time.
async fn in_vain(world: &World, pool: &Pool) -> Attempt {
    let (request, timeout) = (http::Request::new(Full::default()), Micros::millis(300));
    let tried = attempt(world, (pool, 0), request, &|| None, world.now(), Some(timeout), false).await;
    assert!(matches!(tried.ending, Ending::Failed { .. }));
    tried
}

#[test]
fn connections_that_nobody_needs_any_more_are_closed_and_those_in_use_are_not() {
    run_virtual(|world| async move {
        let (address, open) = server(&world).await;
        let pool =
            Pool::new(world.clone(), &[address], None, &Budget::of_shard(&world, 1, Programs::default()));
        let (way, mut burst) = (Way::new(&world), Vec::new());
        for _ in 0..10 {
            burst.push(pool.acquire(0, &way).await.unwrap());
        }
        burst.into_iter().for_each(|connection| pool.give_back(connection));
        for seconds in 1..=130 {
            world.sleep(Micros::SECOND).await;
            let (first, second) = (pool.acquire(0, &way).await, pool.acquire(0, &way).await);
            [first, second].into_iter().for_each(|connection| pool.give_back(connection.unwrap()));
            pool.close_unused();
            assert!(seconds > 50 || open.get() == 10, "{seconds} s: {}", open.get());
        }
        assert_eq!((open.get(), pool.addresses()[0].connections), (2, 10), "two at a time are in use");
    });
}

#[test]
fn an_address_that_serves_gets_no_connection_for_each_request_that_another_refused() {
    run_virtual(|world| async move {
        let ((serves, open), (gone, _)) = (server(&world).await, server(&world).await);
        let gone = SocketAddr::new([127, 0, 0, 9].into(), gone.port());
        let pool = Pool::new(
            world.clone(),
            &[gone, serves],
            None,
            &Budget::of_shard(&world, 1, Programs::default()),
        );
        let way = Way::new(&world);
        for _ in 0..100 {
            let (first, second) = (pool.acquire(0, &way).await, pool.acquire(0, &way).await);
            [first, second].into_iter().for_each(|connection| pool.give_back(connection.unwrap()));
            world.sleep(Micros::MILLISECOND).await;
        }
        let counts = pool.addresses();
        let told: Vec<_> = counts.iter().map(|count| (count.requests, count.refused)).collect();
        assert_eq!((open.get(), told), (2, vec![(0, 100), (200, 0)]));
    });
}

#[test]
fn the_wait_for_a_turn_to_dial_is_told_apart_and_one_for_the_target_is_none() {
    run_virtual(|world| async move {
        let (address, _) = server(&world).await;
        let pool =
            Pool::new(world.clone(), &[address], None, &Budget::of_shard(&world, 1, Programs::default()));
        let way = Way::new(&world);
        let slots = pool.0.slots.acquire_many(DIALS as u32).await.unwrap();
        let freed = async {
            world.sleep(Micros::millis(300)).await;
            drop(slots);
        };
        let (dialled, ()) = tokio::join!(pool.acquire(0, &way), freed);
        let dialled = dialled.unwrap();
        assert_eq!(pool.take_queued(&way), Micros::millis(300));
        let given_back = async {
            let slots = pool.0.slots.acquire_many(DIALS as u32).await.unwrap();
            world.sleep(Micros::millis(200)).await;
            pool.give_back(dialled);
            slots
        };
        let (slots, handed) = tokio::join!(biased; given_back, pool.acquire(0, &way));
        let handed = handed.unwrap();
        assert_eq!((pool.take_queued(&way), handed.reused), (Micros::millis(200), true));
        drop(slots);
        pool.give_back(handed);
        let _lay_there = pool.acquire(0, &way).await.unwrap();
        assert_eq!(pool.take_queued(&way), Micros::ZERO);
    });
}

/// Also where it has no connection to tell of it: such a time-out is none of the target's.
#[test]
fn who_times_out_while_it_waits_for_a_turn_to_dial_was_held_up_by_squall() {
    run_virtual(|world| async move {
        let (address, _) = server(&world).await;
        let pool =
            Pool::new(world.clone(), &[address], None, &Budget::of_shard(&world, 1, Programs::default()));
        let _slots = pool.0.slots.acquire_many(DIALS as u32).await.unwrap();
        let attempt = in_vain(&world, &pool).await;
        assert_eq!([attempt.work.held, attempt.held_unsent], [Micros::millis(300); 2]);
    });
}

#[test]
fn who_waits_for_a_turn_to_dial_a_target_that_takes_nobody_is_held_up_by_the_target() {
    run_virtual(|world| async move {
        let listener = world.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (address, mut backlog) = (listener.local_addr().unwrap(), Vec::new());
        while let Ok(taken) = world.timeout(Micros::MILLISECOND, world.connect(address)).await {
            backlog.push(taken);
        }
        let pool =
            Pool::new(world.clone(), &[address], None, &Budget::of_shard(&world, 1, Programs::default()));
        let flow = |(world, pool): (World, Pool)| async move { in_vain(&world, &pool).await.work.held };
        let mut flows = Vec::new();
        // They come on for so long that turns are had just before a time-out.
        for _ in 0..1_000 {
            flows.extend((0..16).map(|_| world.spawn(flow((world.clone(), pool.clone())))));
            world.sleep(Micros::MILLISECOND).await;
        }
        for flow in flows {
            assert!(flow.await.unwrap() <= OWN_TIME);
        }
    });
}

/// Three addresses at which one replica is well, one hangs, and one is killed and comes back, each with two connections.
#[test]
fn with_a_limit_each_address_has_its_part_of_the_load_whatever_became_of_the_others() {
    run_virtual(|world| async move {
        let listener = world.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (hangs, mut backlog) = (listener.local_addr().unwrap(), Vec::new());
        while let Ok(taken) = world.timeout(Micros::MILLISECOND, world.connect(hangs)).await {
            backlog.push(taken);
        }
        let replica = world.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let ((well, open), dies) = (server(&world).await, replica.local_addr().unwrap());
        let lives = |mut listener: crate::world::Listener| {
            world.spawn(async move {
                let mut open = Vec::new();
                while let Ok((stream, _)) = listener.accept().await {
                    open.push(stream);
                }
            })
        };
        let pool = Pool::new(
            world.clone(),
            &[dies, hangs, well],
            Some(2),
            &Budget::of_shard(&world, 1, Programs::default()),
        );
        let asked = || async {
            let before: Vec<u64> = pool.addresses().iter().map(|count| count.requests).collect();
            for _ in 0..300 {
                let (tasks, pool) = (world.clone(), pool.clone());
                world.spawn(async move {
                    let way = Way::new(&tasks);
                    if let Ok(Ok(had)) = tasks.timeout(Micros::millis(300), pool.acquire(0, &way)).await {
                        tasks.sleep(Micros::millis(5)).await;
                        pool.give_back(had);
                    }
                });
                world.sleep(Micros::millis(10)).await;
            }
            pool.addresses().iter().zip(before).map(|(count, before)| count.requests - before).collect()
        };
        let first = lives(replica);
        let part: Vec<u64> = asked().await;
        assert_eq!(part, [100, 0, 100]);
        first.abort();
        let part: Vec<u64> = asked().await;
        assert_eq!((part[0], part[1], open.get() <= 2), (0, 0, true));
        assert!(part[2] >= 100, "{part:?}");
        let _second = lives(world.listen(dies).await.unwrap());
        let part: Vec<u64> = asked().await;
        assert_eq!(part, [100, 0, 100]);
    });
}

#[test]
fn an_address_that_accepts_only_to_close_is_not_served_by_the_others() {
    run_virtual(|world| async move {
        let mut listener = world.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let ((well, _), closes) = (server(&world).await, listener.local_addr().unwrap());
        world.spawn(async move { while listener.accept().await.is_ok() {} });
        let pool = Pool::new(
            world.clone(),
            &[closes, well],
            None,
            &Budget::of_shard(&world, 1, Programs::default()),
        );
        let mut aborted = 0;
        for _ in 0..100 {
            match pool.acquire(0, &Way::new(&world)).await {
                Ok(had) => pool.give_back(had),
                Err(error) => aborted += u32::from(error.kind() == io::ErrorKind::ConnectionAborted),
            }
        }
        assert_eq!(aborted, 50);
    });
}

#[test]
fn who_waits_for_the_next_address_after_one_refused_times_out_at_neither() {
    run_virtual(|world| async move {
        let ((well, _), (gone, _)) = (server(&world).await, server(&world).await);
        let gone = SocketAddr::new([127, 0, 0, 9].into(), gone.port());
        let pool = Pool::new(
            world.clone(),
            &[gone, well],
            Some(1),
            &Budget::of_shard(&world, 1, Programs::default()),
        );
        let mut had = Vec::new();
        for _ in 0..20 {
            let way = Way::new(&world);
            match world.timeout(Micros::millis(300), pool.acquire(0, &way)).await {
                Ok(connection) => had.push(connection.unwrap()),
                Err(_) => pool.timed_out(&way, Micros::millis(300)),
            }
        }
        let timeouts =
            pool.addresses().iter().map(|count| count.connect_timeouts + count.timeouts).sum::<u64>();
        assert_eq!((had.len(), timeouts), (1, 0));
    });
}

#[test]
fn who_has_no_room_left_in_the_budget_gets_what_another_pool_gives_back() {
    run_virtual(|world| async move {
        let (address, _) = server(&world).await;
        let budget = Budget::new(1, Shelf::of_shard(1));
        let pools = [(); 2].map(|()| Pool::new(world.clone(), &[address], None, &budget));
        let way = Way::new(&world);
        let had = pools[0].acquire(0, &way).await.unwrap();
        let given_back = async {
            world.sleep(Micros::millis(7)).await;
            pools[0].give_back(had);
        };
        let waits = world.timeout(Micros::SECOND, pools[1].acquire(0, &way));
        let (waited, ()) = tokio::join!(biased; waits, given_back);
        let had = waited.unwrap().unwrap();
        assert_eq!(pools[1].take_queued(&way), Micros::millis(7), "squall kept it waiting");
        let in_vain = || async {
            let tried = world.timeout(Micros::SECOND, pools[0].acquire(0, &way)).await;
            assert!(tried.is_err(), "no answer comes to whoever has it");
            pools[0].take_queued(&way)
        };
        assert_eq!(in_vain().await, Micros::SECOND, "and who knows whether one will");
        pools[0].timed_out(&way, Micros::SECOND);
        assert_eq!(in_vain().await, Micros::SECOND, "who had it too late proves nothing");
        let all_the_time = Way::new(&world);
        all_the_time.comes_to(Stage::Connected(address));
        pools[1].timed_out(&all_the_time, Micros::SECOND);
        assert_eq!(
            in_vain().await,
            Micros::SECOND,
            "what one shape asks for may hang, and not what another does"
        );
        pools[0].timed_out(&all_the_time, Micros::SECOND);
        assert_eq!(in_vain().await, Micros::ZERO, "as little would come to any other");
        drop(had);
    });
}

/// Patient probes of a target that hung hold their one connection for ever, and others of them wait for that.
#[test]
fn who_waits_at_its_own_limit_takes_no_connection_from_anybody() {
    run_virtual(|world| async move {
        let (address, _) = server(&world).await;
        let budget = Budget::new(2, Shelf::of_shard(1));
        let [load, probes] =
            [None, Some(1)].map(|limit| Pool::new(world.clone(), &[address], limit, &budget));
        let way = Way::new(&world);
        let (first, second) = (load.acquire(0, &way).await.unwrap(), load.acquire(0, &way).await.unwrap());
        for _ in 0..2 {
            let (tasks, probes) = (world.clone(), probes.clone());
            world.spawn(async move {
                let _for_ever = probes.acquire(0, &Way::new(&tasks)).await.unwrap();
                tasks.sleep(Micros::secs(1_000)).await;
            });
        }
        world.sleep(Micros::millis(20)).await;
        load.give_back(first);
        world.sleep(Micros::millis(20)).await;
        load.give_back(second);
        world.sleep(Micros::millis(20)).await;
        assert!(
            load.acquire(0, &way).await.unwrap().reused,
            "one for the first probe, and none for the other"
        );
    });
}

#[test]
fn a_request_counts_for_the_address_that_its_connection_leads_to() {
    run_virtual(|world| async move {
        let (second, _) = server(&world).await;
        let mut listener = world.listen(([0, 0, 0, 0, 0, 0, 0, 1], second.port()).into()).await.unwrap();
        let first = listener.local_addr().unwrap();
        let pool = Pool::new(
            world.clone(),
            &[first, second],
            None,
            &Budget::of_shard(&world, 1, Programs::default()),
        );
        let way = Way::new(&world);
        let old = pool.acquire(0, &way).await.unwrap();
        // It takes no further connections, and goes on with this one.
        let _open = listener.accept().await.unwrap();
        drop(listener);
        let _new = pool.acquire(0, &way).await.unwrap();
        pool.give_back(old);
        let _old = pool.acquire(0, &way).await.unwrap();
        let requests: Vec<_> = pool.addresses().iter().map(|count| (count.address, count.requests)).collect();
        assert_eq!(requests, [(first, 2), (second, 1)]);
        pool.timed_out(&way, Micros::SECOND);
        assert_eq!(pool.addresses()[0].timeouts, 1);
    });
}
