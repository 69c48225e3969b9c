//! The pacer: sleeps to an absolute time, to some microseconds on Linux.
//!
//! tokio's timer wheel rounds up to a millisecond, so arrivals are paced by a timerfd. Elsewhere the
//! wheel has to do, and the report says so.

use super::World;
use crate::record::Pacing;
use crate::units::Micros;

/// Sleeps until absolute times, one at a time.
pub struct Pacer {
    world: World,
    #[cfg(target_os = "linux")]
    timer: Option<timerfd::Timer>,
}

impl Pacer {
    pub(super) fn new(world: World) -> Pacer {
        #[cfg(target_os = "linux")]
        let timer = if world.is_virtual() { None } else { timerfd::Timer::new().ok() };
        Pacer {
            world,
            #[cfg(target_os = "linux")]
            timer,
        }
    }

    /// The pacer of a system without timerfd.
    #[cfg(test)]
    pub(super) fn on_the_wheel(world: World) -> Pacer {
        Pacer {
            world,
            #[cfg(target_os = "linux")]
            timer: None,
        }
    }

    pub fn kind(&self) -> Pacing {
        if self.world.is_virtual() {
            return Pacing::Virtual;
        }
        #[cfg(target_os = "linux")]
        if self.timer.is_some() {
            return Pacing::Timerfd;
        }
        Pacing::Wheel
    }

    /// Returns at `at`, or at once if that has passed.
    pub async fn until(&mut self, at: Micros) {
        if self.world.now() >= at {
            return;
        }
        #[cfg(target_os = "linux")]
        if let Some(timer) = &self.timer {
            loop {
                let left = at - self.world.now();
                if left <= Micros::ZERO {
                    return;
                }
                if timer.sleep(left).await.is_err() {
                    break;
                }
            }
        }
        self.world.sleep_until(at).await;
    }
}

#[cfg(target_os = "linux")]
mod timerfd {
    //! One timerfd, read through epoll.

    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    use crate::units::Micros;

    pub struct Timer(AsyncFd<OwnedFd>);

    impl Timer {
        #[allow(unsafe_code)]
        pub fn new() -> io::Result<Timer> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            // SAFETY: an OwnedFd stays open and the same for as long as the AsyncFd owns it.
            Ok(Timer(unsafe { AsyncFd::register(timer) }?))
        }

        pub async fn sleep(&self, length: Micros) -> io::Result<()> {
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            let first = Timespec { tv_sec: length.0 / 1_000_000, tv_nsec: length.0 % 1_000_000 * 1_000 };
            let once = Itimerspec { it_interval: zero, it_value: first };
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
            loop {
                let mut ready = self.0.readable().await?;
                let mut expirations = [0; 8];
                let read = ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut expirations)?));
                if let Ok(result) = read {
                    return result.map(|_| ());
                }
            }
        }
    }
}
