// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a person types, as a step of a scenario. Numbers are hexadecimal, as
//! the board and the kernel print them.

use ap_arch::Apqn;

/// What can be typed.
pub const HELP: &str = "\
  + adapter 07    - adapter 07     the mdev gains, loses an adapter
  + domain 0004   - domain 0004    a usage domain
  + control 0004  - control 0004   a control domain
  on 07           off 07           an operator configures, deconfigures an adapter
  add 07          remove 07        the machine gains, loses an adapter
  bind 07.0004    unbind 07.0004   vfio_ap gets, loses a queue
  crypto 07.0004                   the guest makes three RSA requests
  help            quit";

/// The step of a scenario that a line stands for; or what is wrong with it.
pub fn step(line: &str) -> Result<String, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |word: &str| {
        u8::try_from(u16::from_str_radix(word, 16).unwrap_or(u16::MAX))
            .map_err(|_| format!("\"{word}\" is no number from 00 to ff"))
    };
    let queue = |word: &str| {
        word.parse::<Apqn>()
            .map_err(|e| format!("\"{word}\" is no queue such as 07.0004: {e}"))
    };
    Ok(match words[..] {
        [sign @ ("+" | "-"), kind, word] => {
            let list = match kind {
                "adapter" => "adapters",
                "domain" => "domains",
                "control" => "control-domains",
                _ => return Err(format!("\"{kind}\": adapter, domain or control")),
            };
            let verb = if sign == "+" { "assign" } else { "unassign" };
            format!("{verb} = {{ mdev = \"a\", {list} = [{}] }}", number(word)?)
        }
        [state @ ("on" | "off"), word] => {
            let (apid, on) = (number(word)?, state == "on");
            format!("machine = {{ config = {{ apid = {apid}, on = {on} }} }}")
        }
        ["add", word] => {
            let apid = number(word)?;
            format!("machine = {{ add-adapter = {{ apid = {apid}, mode = \"accelerator\" }} }}")
        }
        ["remove", word] => format!("machine = {{ remove-adapter = {} }}", number(word)?),
        [verb @ ("bind" | "unbind"), word] => {
            let queue = queue(word)?;
            format!("{verb} = {{ apqn = \"{queue}\", driver = \"vfio_ap\" }}")
        }
        ["crypto", word] => {
            let queue = queue(word)?;
            format!("crypto = {{ guest = \"g\", apqn = \"{queue}\", requests = 3 }}")
        }
        _ => return Err(format!("\"{line}\" means nothing; help tells what does")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_steps() {
        for (line, toml) in [
            ("+ adapter 1a", "assign = { mdev = \"a\", adapters = [26] }"),
            (
                "- control 0047",
                "unassign = { mdev = \"a\", control-domains = [71] }",
            ),
            ("off 07", "machine = { config = { apid = 7, on = false } }"),
            (
                "unbind 07.0004",
                "unbind = { apqn = \"07.0004\", driver = \"vfio_ap\" }",
            ),
        ] {
            assert_eq!(step(line).as_deref(), Ok(toml));
        }
        for wrong in [
            "",
            "+ adapter",
            "+ adapter xx",
            "+ card 07",
            "bind 7",
            "on 100",
        ] {
            assert!(step(wrong).is_err(), "{wrong}");
        }
    }
}
