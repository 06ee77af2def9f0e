//! Members as go-dqlite writes them in YAML: `ID`, `Address`, `Role`. Other fields are passed over.

use std::fmt::Write;

use yaml_rust2::{Yaml, YamlLoader};

use crate::wire::{Member, Role};

pub(super) fn write_member(member: &Member) -> String {
    entry(member, "", "")
}

pub(super) fn write_members(members: &[Member]) -> String {
    if members.is_empty() {
        return "[]\n".to_owned();
    }
    members.iter().map(|member| entry(member, "- ", "  ")).collect()
}

fn entry(member: &Member, first: &str, others: &str) -> String {
    let (id, address, role) = (member.id, scalar(&member.address), member.role.number());
    format!("{first}ID: {id}\n{others}Address: {address}\n{others}Role: {role}\n")
}

/// A text that no reader takes for a number or a structure: quoted unless it is plainly a host and a port.
fn scalar(text: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "._-:".contains(char);
    let named = text.starts_with(|char: char| char.is_ascii_alphanumeric())
        && text.contains(|char: char| char.is_ascii_alphabetic() || char == '.');
    if named && text.chars().all(plain) && !text.ends_with(':') && text.matches(':').count() == 1 {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            char if char.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(char));
            }
            char => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

pub(super) fn read_member(text: &str) -> Result<Member, String> {
    match load(text)? {
        Some(document) => member(&document),
        None => Err("it is empty".to_owned()),
    }
}

pub(super) fn read_members(text: &str) -> Result<Vec<Member>, String> {
    match load(text)? {
        None | Some(Yaml::Null) => Ok(Vec::new()),
        Some(Yaml::Array(members)) => members.iter().map(member).collect(),
        Some(_) => Err("it is not a list of members".to_owned()),
    }
}

fn load(text: &str) -> Result<Option<Yaml>, String> {
    let documents = YamlLoader::load_from_str(text).map_err(|error| error.to_string())?;
    Ok(documents.into_iter().next())
}

/// Absent numbers are zero, as they are for Go.
fn member(yaml: &Yaml) -> Result<Member, String> {
    let Yaml::Hash(fields) = yaml else {
        return Err("a member is not a list of fields".to_owned());
    };
    let field = |name: &str| fields.get(&Yaml::String(name.to_owned()));
    let address = match field("Address") {
        Some(Yaml::String(address)) if !address.is_empty() => address.clone(),
        _ => return Err("a member has no Address".to_owned()),
    };
    let role = number("Role", field("Role"))?;
    Ok(Member {
        id: number("ID", field("ID"))?,
        address,
        role: Role::from_number(role).map_err(|error| error.to_string())?,
    })
}

/// Numbers above what fits in 63 bits come as texts of what look like decimals.
fn number(name: &str, yaml: Option<&Yaml>) -> Result<u64, String> {
    let read = match yaml {
        None | Some(Yaml::Null) => Some(0),
        Some(Yaml::Integer(number)) => u64::try_from(*number).ok(),
        Some(Yaml::Real(text) | Yaml::String(text)) => text.parse().ok(),
        Some(_) => None,
    };
    read.ok_or_else(|| format!("{name} is not a number of 64 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, address: &str, role: Role) -> Member {
        Member {
            id,
            address: address.to_owned(),
            role,
        }
    }

    #[test]
    fn what_go_dqlite_writes_is_read() {
        let info = "Address: 192.168.1.5:19001\nID: 3297041220608546238\nRole: 0\n";
        let expected = member(3_297_041_220_608_546_238, "192.168.1.5:19001", Role::Voter);
        assert_eq!(read_member(info), Ok(expected.clone()));
        let list = "- Address: 192.168.1.5:19001\n  ID: 3297041220608546238\n  Role: 0\n\
                    - Address: '[fd00::1]:19001'\n  ID: 18446744073709551615\n  Role: 2\n  Weight: [1, 2]\n";
        let second = member(u64::MAX, "[fd00::1]:19001", Role::Spare);
        assert_eq!(read_members(list), Ok(vec![expected, second]));
        let told = member(0, "node-1.example:9000", Role::Voter);
        assert_eq!(read_members("- Address: node-1.example:9000\n"), Ok(vec![told]));
    }

    #[test]
    fn what_is_written_is_what_go_dqlite_writes() {
        let members = [
            member(1, "127.0.0.1:9001", Role::Voter),
            member(u64::MAX, "[::1]:9001", Role::Standby),
        ];
        assert_eq!(
            write_member(&members[0]),
            "ID: 1\nAddress: 127.0.0.1:9001\nRole: 0\n"
        );
        assert_eq!(
            write_members(&members),
            "- ID: 1\n  Address: 127.0.0.1:9001\n  Role: 0\n\
             - ID: 18446744073709551615\n  Address: \"[::1]:9001\"\n  Role: 1\n"
        );
    }

    #[test]
    fn any_address_comes_back() {
        for address in [
            "12:30",
            "1.2.3.4:5",
            "a: b",
            "\"q\"\\",
            "@abstract",
            "null",
            "host:80",
            "tab\there",
            "é:1",
        ] {
            let members = [member(7, address, Role::Spare)];
            assert_eq!(
                read_members(&write_members(&members)).as_deref(),
                Ok(&members[..]),
                "{address}"
            );
        }
        assert_eq!(read_members(&write_members(&[])), Ok(Vec::new()));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "- 1\n",
            "ID: 1\n",
            "ID: x\nAddress: a:1\n",
            "ID: -1\nAddress: a:1\n",
            "ID: 1.5\nAddress: a:1\n",
            "ID: 1\nAddress: a:1\nRole: 3\n",
            "{",
        ] {
            assert!(read_member(text).is_err(), "{text:?}");
        }
        for text in ["ID: 1\nAddress: a:1\n", "- a\n"] {
            assert!(read_members(text).is_err(), "{text:?}");
        }
    }
}
