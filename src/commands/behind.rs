//! A thread of its own for what a run writes as it goes on: a disk that takes nothing for a while (its server hangs, others
//! keep it busy) must hold up neither a fault's end nor a stop.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

enum Job {
    Write(Vec<u8>),
    /// Rings when all before it is written.
    Reach(Sender<()>),
}

/// Takes at once what is written behind it, in order; its flush waits for that. After an error, which the next call
/// gives back, nothing more is written.
pub(super) struct Behind {
    jobs: Sender<Job>,
    failed: Arc<Mutex<Option<io::Error>>>,
}

impl Behind {
    /// # Errors
    /// The system has no thread for it.
    pub(super) fn new(mut out: impl Write + Send + 'static) -> io::Result<Behind> {
        let (jobs, waiting): (_, Receiver<Job>) = channel();
        let failed = Arc::<Mutex<Option<io::Error>>>::default();
        let failing = failed.clone();
        let write = move || {
            for job in waiting {
                let done = match job {
                    Job::Write(bytes) => out.write_all(&bytes).and_then(|()| out.flush()),
                    Job::Reach(tell) => {
                        // Whoever waited may have given up.
                        let _ = tell.send(());
                        Ok(())
                    }
                };
                if let Err(error) = done {
                    *failing.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    break;
                }
            }
        };
        std::thread::Builder::new().name("history".to_owned()).spawn(write)?;
        Ok(Behind { jobs, failed })
    }

    fn error(&self) -> io::Result<()> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}

impl Write for Behind {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // It is asked afterwards: one that fails just now takes no job any more.
        let taken = self.jobs.send(Job::Write(bytes.to_vec()));
        self.error()?;
        taken.map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let (tell, told) = channel();
        // One that has failed reaches nothing any more, and says why.
        let reached = self.jobs.send(Job::Reach(tell)).is_ok() && told.recv().is_ok();
        self.error()?;
        if reached { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that takes something only when it is let, and no more than its room.
    struct Disk {
        lets: Receiver<()>,
        room: usize,
        holds: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.lets.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            let mut holds = self.holds.lock().unwrap();
            let taken = bytes.len().min(self.room - holds.len());
            holds.extend(&bytes[..taken]);
            if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_disk_that_hangs_holds_nobody_up_and_has_everything_in_order_in_the_end() {
        let ((lets, allowed), holds) = (channel(), Arc::<Mutex<Vec<u8>>>::default());
        let mut behind = Behind::new(Disk { lets: allowed, room: 1_000, holds: holds.clone() }).unwrap();
        for line in ["one ", "two ", "three"] {
            behind.write_all(line.as_bytes()).unwrap();
        }
        assert!(holds.lock().unwrap().is_empty(), "it hangs");
        (0..3).for_each(|_| lets.send(()).unwrap());
        behind.flush().unwrap();
        assert_eq!(*holds.lock().unwrap(), b"one two three");
    }

    #[test]
    fn a_disk_that_is_full_is_told_once_it_is_and_takes_nothing_after_that() {
        let ((lets, allowed), holds) = (channel(), Arc::<Mutex<Vec<u8>>>::default());
        let mut behind = Behind::new(Disk { lets: allowed, room: 5, holds: holds.clone() }).unwrap();
        behind.write_all(b"one two").unwrap();
        (0..9).for_each(|_| lets.send(()).unwrap());
        assert_eq!(behind.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(behind.write_all(b"three").is_err() && behind.flush().is_err());
        assert_eq!(*holds.lock().unwrap(), b"one t");
    }
}
