//! Programs on interfaces: attached once, afterwards replaced in place on the pinned link.

use std::fs;
use std::path::Path;

use aya::Ebpf;
use aya::programs::links::{FdLink, LinkOrder, PinnedLink};
use aya::programs::tc::{TcAttachOptions, TcAttachType};
use aya::programs::{ProgramError, SchedClassifier, Xdp, XdpMode as AyaMode, loaded_programs};

use crate::dataplane::error::{DataplaneError, chain};
use crate::dataplane::pins::{Hook, Pins};
use crate::model::XdpMode;

/// An interface as it is before programs are attached, from netlink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// The kernel's id of the XDP program on it, if any, and whether it runs in the driver.
    pub xdp: Option<(u32, bool)>,
}

/// An interface that carries the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// In the driver, or generic.
    pub native: bool,
    /// The kernel's id of the XDP program.
    pub program: u32,
    /// The kernel's id of its link.
    pub link: u32,
    /// Whether the link was there already and got the new program.
    pub replaced: bool,
}

const XDP_PROGRAM: &str = crate::object::INGRESS;
const TC_PROGRAM: &str = crate::object::EGRESS;

fn refused(what: &'static str, interface: &str, error: &dyn std::error::Error) -> DataplaneError {
    DataplaneError::Attach {
        what,
        interface: interface.to_owned(),
        reason: chain(error),
    }
}

/// Loads both programs into the kernel.
pub(super) fn load(ebpf: &mut Ebpf) -> Result<(), DataplaneError> {
    let failed = |e: ProgramError| DataplaneError::Load(chain(&e));
    xdp(ebpf)?.load().map_err(failed)?;
    tc(ebpf)?.load().map_err(failed)
}

fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, DataplaneError> {
    ebpf.program_mut(XDP_PROGRAM)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| missing(XDP_PROGRAM))
}

fn tc(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier, DataplaneError> {
    ebpf.program_mut(TC_PROGRAM)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| missing(TC_PROGRAM))
}

fn missing(program: &str) -> DataplaneError {
    DataplaneError::Load(format!("the embedded object has no program {program}"))
}

/// Whether [`attach_xdp`] would be refused for what is on the interface already. Changes nothing.
pub(super) fn check_xdp(pins: &Pins, found: &Found, mode: XdpMode) -> Result<(), DataplaneError> {
    let Some((id, native)) = found.xdp else {
        return Ok(());
    };
    let pin = pins.link(Hook::Xdp, &found.name);
    if pin.exists() && pinned_program(&pin)? == id {
        return check_mode(&found.name, mode, native);
    }
    Err(DataplaneError::OtherProgram {
        interface: found.name.clone(),
        id,
        name: program_name(id),
    })
}

/// Puts the XDP program on an interface, or onto the link that is pinned for it.
pub(super) fn attach_xdp(
    ebpf: &mut Ebpf,
    pins: &Pins,
    found: &Found,
    mode: XdpMode,
) -> Result<Attached, DataplaneError> {
    check_xdp(pins, found, mode)?;
    let pin = pins.link(Hook::Xdp, &found.name);
    let failed = |e: &dyn std::error::Error| refused("XDP", &found.name, e);
    if let Some(pinned) = pinned_on(&pin, |id| found.xdp.is_some_and(|(on, _)| on == id))? {
        let native = found.xdp.is_some_and(|(_, native)| native);
        let program = xdp(ebpf)?;
        let link = FdLink::from(pinned).try_into().map_err(|e| failed(&e))?;
        let id = program.attach_to_link(link).map_err(|e| failed(&e))?;
        let link = FdLink::try_from(program.take_link(id).map_err(|e| failed(&e))?)
            .map_err(|e| failed(&e))?;
        return attached(found, native, &link, true);
    }
    let modes: &[(AyaMode, bool)] = match mode {
        XdpMode::Auto => &[(AyaMode::Driver, true), (AyaMode::Skb, false)],
        XdpMode::Native => &[(AyaMode::Driver, true)],
        XdpMode::Skb => &[(AyaMode::Skb, false)],
    };
    let program = xdp(ebpf)?;
    let mut last = None;
    for (mode, native) in modes {
        match program.attach_to_if_index(found.index, *mode) {
            Ok(id) => {
                let link = FdLink::try_from(program.take_link(id).map_err(|e| failed(&e))?)
                    .map_err(|e| failed(&e))?;
                let attached = attached(found, *native, &link, false)?;
                link.pin(&pin).map_err(|e| failed(&e))?;
                return Ok(attached);
            }
            Err(e) => last = Some(e),
        }
    }
    Err(last.map_or_else(|| missing(XDP_PROGRAM), |e| failed(&e)))
}

/// Puts the TC program on an interface's egress (TCX), or onto the link that is pinned for it.
pub(super) fn attach_tc(ebpf: &mut Ebpf, pins: &Pins, name: &str) -> Result<(), DataplaneError> {
    let pin = pins.link(Hook::TcEgress, name);
    let failed = |e: &dyn std::error::Error| refused("TC egress", name, e);
    let (_, there) =
        SchedClassifier::query_tcx(name, TcAttachType::Egress).map_err(|e| failed(&e))?;
    let program = tc(ebpf)?;
    if let Some(pinned) = pinned_on(&pin, |id| there.iter().any(|info| info.id() == id))? {
        let link = FdLink::from(pinned).try_into().map_err(|e| failed(&e))?;
        let id = program.attach_to_link(link).map_err(|e| failed(&e))?;
        // Out of aya's hands, or it would be detached with the object; the pin holds it.
        program.take_link(id).map_err(|e| failed(&e))?;
        return Ok(());
    }
    let options = TcAttachOptions::TcxOrder(LinkOrder::default());
    let id = program
        .attach_with_options(name, TcAttachType::Egress, options)
        .map_err(|e| failed(&e))?;
    let link =
        FdLink::try_from(program.take_link(id).map_err(|e| failed(&e))?).map_err(|e| failed(&e))?;
    link.pin(&pin).map_err(|e| failed(&e))?;
    Ok(())
}

/// The pinned link, where there is one and the interface carries its program. A link of an interface that is gone, or
/// that has another name by now, is unpinned: with its pin it leaves the interface where it may still be.
fn pinned_on(
    pin: &Path,
    carries: impl Fn(u32) -> bool,
) -> Result<Option<PinnedLink>, DataplaneError> {
    if !pin.exists() {
        return Ok(None);
    }
    if carries(pinned_program(pin)?) {
        return PinnedLink::from_pin(pin)
            .map(Some)
            .map_err(|e| unopened(pin, &e));
    }
    tracing::warn!(pin = %pin.display(), "the pinned link's interface is gone or was renamed: link removed");
    fs::remove_file(pin).map_err(|e| DataplaneError::io("remove", pin, e))?;
    Ok(None)
}

/// The kernel's id of the program on a pinned link.
fn pinned_program(pin: &Path) -> Result<u32, DataplaneError> {
    let pinned = PinnedLink::from_pin(pin).map_err(|e| unopened(pin, &e))?;
    let info = FdLink::from(pinned).info().map_err(|e| unopened(pin, &e))?;
    Ok(info.program_id())
}

fn unopened(pin: &Path, error: &dyn std::error::Error) -> DataplaneError {
    DataplaneError::Attach {
        what: "pinned",
        interface: pin.display().to_string(),
        reason: chain(error),
    }
}

fn attached(
    found: &Found,
    native: bool,
    link: &FdLink,
    replaced: bool,
) -> Result<Attached, DataplaneError> {
    let info = link.info().map_err(|e| refused("XDP", &found.name, &e))?;
    Ok(Attached {
        name: found.name.clone(),
        index: found.index,
        native,
        program: info.program_id(),
        link: info.id(),
        replaced,
    })
}

fn check_mode(interface: &str, wanted: XdpMode, native: bool) -> Result<(), DataplaneError> {
    let expected = match (wanted, native) {
        (XdpMode::Native, false) => "native",
        (XdpMode::Skb, true) => "skb",
        _ => return Ok(()),
    };
    Err(DataplaneError::XdpMode {
        interface: interface.to_owned(),
        found: if native { "native" } else { "skb" },
        expected,
    })
}

fn program_name(id: u32) -> Option<String> {
    loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(str::to_owned))
        .filter(|name| !name.is_empty())
}
