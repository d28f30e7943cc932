//! ICMP messages of cases, and the packets that errors quote. Checksums by `etherparse`, over the whole of what is
//! quoted before it is cut off.

use super::cast::{Family, hex};
use super::craft::{Frame, craft};
use super::spec::Protocol;
use anyhow::{Context, Result};
use etherparse::{Icmpv4Type, Icmpv6Type};
use splitter_common::abi::Address;
use toml::{Table, Value};

/// Length of the Ethernet header, which is not quoted.
const ETHERNET: usize = 14;

/// The fields of the packet that `frame` quotes, if it does; what is not given is as in an answer of the service to
/// `client`.
pub fn quoted(frame: &Frame) -> Result<Option<Frame>> {
    let Some(fields) = &frame.quote else {
        return Ok(None);
    };
    let mut all = Table::new();
    for (field, value) in [("from", "vip:80"), ("to", "client:40000"), ("flags", "A")] {
        all.insert(field.into(), Value::String(value.into()));
    }
    all.insert("payload".into(), Value::Integer(20));
    all.extend(fields.clone());
    Ok(Some(all.try_into()?))
}

/// Puts changes into fields; those of a quoted packet into its fields.
pub fn merge(fields: &mut Table, changes: Table) {
    for (key, value) in changes {
        match (fields.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(changes)) => merge(inner, changes),
            (_, value) => {
                fields.insert(key, value);
            }
        }
    }
}

/// A frame of the flow that `frame` is about, as the client sends it.
pub fn subject(frame: &Frame) -> Result<Option<Frame>> {
    let Some(quote) = quoted(frame)? else {
        return Ok(None);
    };
    Ok(Some(Frame {
        kind: quote.kind,
        from: quote.to,
        to: quote.from,
        ..Frame::default()
    }))
}

/// Protocol number, message, and length of what stands before its body.
pub fn message(
    frame: &Frame,
    family: Family,
    protocol: Protocol,
    (source, destination): (&Address, &Address),
    payload: &[u8],
) -> Result<(u8, Vec<u8>, usize)> {
    let echo = match family {
        Family::V4 => [8, 0],
        Family::V6 => [128, 0],
    };
    let [kind, code] = frame.icmp.unwrap_or(echo);
    let rest: [u8; 4] = match frame.rest.as_str() {
        "" => [0; 4],
        digits => hex(digits)?
            .try_into()
            .ok()
            .context("the rest of the ICMP header has four bytes")?,
    };
    let body = match quoted(frame)? {
        Some(quote) => craft(&quote, family, protocol)?.split_off(ETHERNET),
        None => payload.to_vec(),
    };
    let (number, checksum) = match family {
        Family::V4 => {
            let unknown = Icmpv4Type::Unknown {
                type_u8: kind,
                code_u8: code,
                bytes5to8: rest,
            };
            (1, unknown.calc_checksum(&body))
        }
        Family::V6 => {
            let unknown = Icmpv6Type::Unknown {
                type_u8: kind,
                code_u8: code,
                bytes5to8: rest,
            };
            (58, unknown.calc_checksum(*source, *destination, &body)?)
        }
    };
    let mut bytes = vec![kind, code];
    bytes.extend(checksum.to_be_bytes());
    bytes.extend(rest);
    bytes.extend(body);
    Ok((number, bytes, 8))
}
