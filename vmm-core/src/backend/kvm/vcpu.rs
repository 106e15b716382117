//! The vCPU's thread: takes an order, runs the guest until it rings the doorbell, answers.
//!
//! ```text
//!  obey ── order ──▶ thread: mailbox, KVM_RUN ⟲ exits to the bus ── doorbell ── answer ──▶ obey
//!    └── no answer in time: a signal ends KVM_RUN, and the guest is given up
//! ```

use std::sync::Arc;
use std::sync::Once;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use kvm_ioctls::VcpuExit;
use kvm_ioctls::VcpuFd;
use vmm_sys_util::signal::Killable;
use vmm_sys_util::signal::SIGRTMIN;
use vmm_sys_util::signal::register_signal_handler;

use super::Vm;
use super::arch;
use super::program;
use crate::map::memory::HostMemory;
use crate::plan::machine;
use crate::run::bus::Bus;
use crate::run::guest::Guest;
use crate::run::guest::GuestError;
use crate::run::guest::Handler;
use crate::run::guest::Order;
use crate::run::guest::Rounds;

/// How often a thread that does not come back is signalled again: a signal that comes just before the system
/// call is lost.
const NUDGE: Duration = Duration::from_millis(10);

/// A vCPU that obeys orders on a thread of its own. Dropping it ends the thread.
#[derive(Debug)]
pub struct Vcpu {
    /// Nothing once the guest is given up.
    tasks: Option<mpsc::Sender<Task>>,
    answers: mpsc::Receiver<Result<u64, GuestError>>,
    thread: Option<JoinHandle<()>>,
    timeout: Duration,
    /// Where the mailbox is.
    ram: HostMemory,
    /// What the guest has begun.
    begun: Option<Order>,
}

/// What the thread is told.
enum Task {
    /// An order for the guest.
    Order(Order),
    /// The guest begins again, on this bus.
    StartAgain(Arc<Bus>),
}

/// What the thread has.
struct Worker {
    vcpu: VcpuFd,
    ram: HostMemory,
    bus: Arc<Bus>,
    doorbell: Gpa,
    /// The virtual machine must not go before its vCPU.
    vm: Arc<Vm>,
}

impl Vcpu {
    pub(super) fn start(
        vm: Arc<Vm>,
        ram: HostMemory,
        bus: Arc<Bus>,
        timeout: Duration,
    ) -> Result<Self, GuestError> {
        let setup = |what| move |error: kvm_ioctls::Error| GuestError::Setup { what, why: error.to_string() };
        let no_room = |what| move || GuestError::Setup { what, why: "RAM is too small".to_owned() };
        let doorbell = machine::doorbell().ok_or_else(no_room("placing the doorbell"))?.start();
        let vcpu = vm.vm.create_vcpu(0).map_err(setup("creating a vCPU"))?;
        arch::prepare_vcpu(&vm.kvm, &vcpu).map_err(setup("preparing a vCPU"))?;
        catch_nudges()?;
        let (tasks, tasks_in) = mpsc::channel();
        let (answers_out, answers) = mpsc::channel();
        let mut worker = Worker { vcpu, ram: ram.clone(), bus, doorbell, vm };
        worker.start()?;
        let work = move || {
            for task in tasks_in {
                let answer = match task {
                    Task::Order(order) => worker.carry_out(order),
                    Task::StartAgain(bus) => worker.start_again(bus),
                };
                if answers_out.send(answer).is_err() {
                    return;
                }
            }
        };
        let named = std::thread::Builder::new().name("vcpu0".to_owned()).spawn(work);
        let thread = named
            .map_err(|error| GuestError::Setup { what: "starting a vCPU thread", why: error.to_string() })?;
        Ok(Self { tasks: Some(tasks), answers, thread: Some(thread), timeout, ram, begun: None })
    }

    /// Signals the thread until it comes back.
    fn recall(&mut self) {
        self.tasks = None;
        while self.answers.recv_timeout(NUDGE) == Err(mpsc::RecvTimeoutError::Timeout) {
            let Some(thread) = self.thread.as_ref() else { return };
            // A thread that has ended has closed its channel, which ends this loop.
            let _ = thread.kill(SIGRTMIN());
        }
    }
}

impl Vcpu {
    fn send(&self, order: Order) -> Result<(), GuestError> {
        let tasks = self.tasks.as_ref().ok_or(GuestError::Stopped)?;
        tasks.send(Task::Order(order)).map_err(|_| GuestError::Stopped)
    }

    fn wait(&mut self, order: Order) -> Result<u64, GuestError> {
        match self.answers.recv_timeout(self.timeout) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                self.tasks = None;
                Err(error)
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                self.recall();
                Err(GuestError::Stuck { order, timeout: self.timeout })
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(GuestError::Stopped),
        }
    }
}

impl Guest for Vcpu {
    fn obey(&mut self, order: Order) -> Result<u64, GuestError> {
        let order = order.checked()?;
        match (self.begun, order) {
            (Some(_), _) => Err(GuestError::Busy),
            (None, Order::Again { .. }) => Err(order.never_ends()),
            (None, _) => self.send(order).and_then(|()| self.wait(order)),
        }
    }

    fn begin(&mut self, at: Gpa, value: u64) -> Result<(), GuestError> {
        let order = Order::Again { at, value }.checked()?;
        if self.begun.is_some() {
            return Err(GuestError::Busy);
        }
        // Before the thread hears of it: it may be enough before the thread has begun.
        let no_room = GuestError::Impossible { order, why: "RAM has no room for the mailbox" };
        program::count_anew(&self.ram).ok_or(no_room)?;
        self.send(order)?;
        self.begun = Some(order);
        Ok(())
    }

    fn rounds(&mut self) -> Result<Rounds, GuestError> {
        let Some(order) = self.begun else { return Ok(Rounds::default()) };
        // Nothing but a guest that has crashed ends before it was enough.
        if let Ok(answer) = self.answers.try_recv() {
            (self.begun, self.tasks) = (None, None);
            answer?;
            return Err(GuestError::Crashed { order, exit: "its doorbell".to_owned() });
        }
        Ok(program::rounds(&self.ram))
    }

    fn is_busy(&self) -> bool {
        self.begun.is_some()
    }

    fn enough(&mut self) -> Result<Rounds, GuestError> {
        let Some(order) = self.begun.take() else { return Ok(Rounds::default()) };
        // There was room when it was begun.
        let _ = program::enough(&self.ram);
        self.wait(order).map(|_| program::rounds(&self.ram))
    }

    fn start_again(&mut self, bus: Arc<Bus>) -> Result<(), GuestError> {
        let tasks = self.tasks.as_ref().ok_or(GuestError::Stopped)?;
        tasks.send(Task::StartAgain(bus)).map_err(|_| GuestError::Stopped)?;
        // The guest does not run meanwhile, so there is nothing to wait long for.
        self.answers.recv().map_err(|_| GuestError::Stopped)?.map(drop)
    }

    fn handle(&mut self, handler: Handler) -> Result<(), GuestError> {
        // The guest stands between two orders, and nothing but its handler reads this.
        let what = "giving an interrupt's handler something to do";
        arch::handle(&self.ram, handler)
            .ok_or_else(|| GuestError::Setup { what, why: "the guest program has no room for it".to_owned() })
    }

    fn taken(&mut self, number: u8) -> Result<u64, GuestError> {
        // The guest looks itself: what waits for it is taken before it does.
        let Some(counts) = arch::COUNTS else { return Ok(0) };
        let at = Gpa::new(counts + 8 * u64::from(number));
        self.obey(Order::Load { at, width: Width::Qword })
    }
}

impl Drop for Vcpu {
    fn drop(&mut self) {
        // Why it does not come back, whoever asks it to end would have been told.
        let _ = self.enough();
        // Without orders the thread ends by itself: no order is under way when nobody waits for one.
        self.tasks = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing more to say.
            let _ = thread.join();
        }
    }
}

impl Worker {
    /// Puts the guest program into RAM and the vCPU at its beginning.
    fn start(&mut self) -> Result<(), GuestError> {
        let no_room = |what| move || GuestError::Setup { what, why: "RAM is too small".to_owned() };
        program::install(&self.ram).ok_or_else(no_room("installing the guest program"))?;
        let tables = arch::install_tables(&self.ram, self.doorbell);
        tables.ok_or_else(no_room("installing the guest's page tables"))?;
        let started = arch::start_vcpu(&self.vm.vm, &self.vcpu, self.doorbell);
        started.map_err(|error| GuestError::Setup { what: "starting a vCPU", why: error.to_string() })
    }

    /// Begins again with another bus, and nothing of what went before.
    fn start_again(&mut self, bus: Arc<Bus>) -> Result<u64, GuestError> {
        self.bus = bus;
        self.finish_access();
        self.start().map(|()| 0)
    }

    /// The access that ended the last order is not complete until KVM is entered again, which must not run anything.
    fn finish_access(&mut self) {
        self.vcpu.set_kvm_immediate_exit(1);
        // It ends at once, and says so as an error.
        let _ = self.vcpu.run();
        self.vcpu.set_kvm_immediate_exit(0);
    }

    fn carry_out(&mut self, order: Order) -> Result<u64, GuestError> {
        let no_room = GuestError::Impossible { order, why: "RAM has no room for the mailbox" };
        let address = arch::aim(&self.ram, program::address_of(order)).ok_or(no_room.clone())?;
        program::post(&self.ram, order, address).ok_or(no_room.clone())?;
        self.run_until_doorbell(order)?;
        program::collect(&self.ram, order).ok_or(no_room)
    }

    fn run_until_doorbell(&mut self, order: Order) -> Result<(), GuestError> {
        let crashed = |exit: String| Err(GuestError::Crashed { order, exit });
        loop {
            match self.vcpu.run() {
                Ok(VcpuExit::MmioWrite(at, _)) if at == self.doorbell.get() => return Ok(()),
                Ok(VcpuExit::MmioWrite(at, data)) => self.bus.store(Gpa::new(at), data),
                Ok(VcpuExit::MmioRead(at, buffer)) => self.bus.load(Gpa::new(at), buffer),
                Ok(exit) => return crashed(format!("{exit:?}")),
                Err(error) if error.errno() == rustix::io::Errno::INTR.raw_os_error() => {
                    return crashed("a signal".to_owned());
                }
                Err(error) => return crashed(error.to_string()),
            }
        }
    }
}

/// Makes the signal that ends `KVM_RUN` do nothing else.
fn catch_nudges() -> Result<(), GuestError> {
    static ONCE: Once = Once::new();
    let mut outcome = Ok(());
    ONCE.call_once(|| outcome = register_signal_handler(SIGRTMIN(), ignore));
    outcome.map_err(|error| GuestError::Setup { what: "catching a signal", why: error.to_string() })
}

extern "C" fn ignore(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}
