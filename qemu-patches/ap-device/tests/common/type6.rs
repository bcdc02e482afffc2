// SPDX-License-Identifier: MIT OR Apache-2.0
//! Type 6 requests as Linux builds them, and type 86 replies as it reads them.

pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap())
}

pub fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

pub fn put32(bytes: &mut [u8], at: usize, value: usize) {
    bytes[at..at + 4].copy_from_slice(&(value as u32).to_be_bytes());
}

/// A field with its length, which counts itself.
pub fn field(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16 + 2).to_be_bytes(), bytes].concat()
}

/// The envelope: a header, then the control block.
pub fn request(agent: &[u8; 2], control: &[u8], control_room: usize, data_room: usize) -> Vec<u8> {
    let mut message = vec![0; 88];
    message[1] = 6;
    put32(&mut message, 16, 88);
    message[32..34].copy_from_slice(agent);
    put32(&mut message, 56, control.len());
    put32(&mut message, 72, control_room);
    put32(&mut message, 76, data_room);
    message.extend_from_slice(control);
    message
}

/// A CCA request: function code, rule, further fields.
pub fn cca(function: &[u8; 2], rule: &[u8; 8], fields: &[u8], domain: u16) -> Vec<u8> {
    let parameters = [function, &field(rule)[..], fields].concat();
    let mut control = vec![0; 220];
    control[1] = 0xdc;
    control[2] = 2;
    control[6..8].copy_from_slice(b"T2");
    put32(&mut control, 12, parameters.len());
    put32(&mut control, 28, 4096);
    control[170..172].copy_from_slice(&domain.to_be_bytes());
    control.extend(parameters);
    request(b"CA", &control, 0x2000, 4096)
}

/// A reply taken apart.
#[derive(Debug)]
pub struct Reply {
    pub control: Vec<u8>,
    pub data: Vec<u8>,
}

/// The reply, or the code of an error reply. Its lengths must agree with each
/// other, or Linux would drop it.
pub fn reply(bytes: &[u8]) -> Result<Reply, u8> {
    if bytes[1] == 0x82 {
        assert_eq!(bytes.len(), 8);
        return Err(bytes[4]);
    }
    assert_eq!(bytes[..8], [0, 0x86, 2, 0, 0, 0, 0, 0]);
    let [count1, offset1, count2, offset2] = [16, 20, 24, 28].map(|at| u32_at(bytes, at));
    let end = match count2 {
        0 => offset1 + count1,
        _ => offset2 + count2,
    };
    assert_eq!(end, bytes.len());
    assert_eq!(offset1, 48);
    Ok(Reply {
        control: bytes[48..48 + count1].to_vec(),
        data: match count2 {
            0 => Vec::new(),
            _ => bytes[offset2..].to_vec(),
        },
    })
}

/// Parameters of a CCA reply, or return and reason code.
pub fn cca_parameters(reply: &Reply) -> Result<&[u8], (u16, u16)> {
    let (cprbx, parameters) = reply.control.split_at(220);
    assert_eq!(cprbx[..4], [0, 0xdc, 2, 0]);
    assert_eq!(u32_at(cprbx, 24), parameters.len());
    assert_eq!(u32_at(cprbx, 32), reply.data.len());
    match (u16_at(cprbx, 144), u16_at(cprbx, 146)) {
        (0, 0) => Ok(parameters),
        codes => Err(codes),
    }
}

/// An EP11 request: function, domain, and numbers.
pub fn ep11(function: u32, domain: u32, numbers: &[u32]) -> Vec<u8> {
    let mut fields = Vec::new();
    for number in [&[function, domain], numbers].concat() {
        fields.extend([4, 4]);
        fields.extend(number.to_be_bytes());
    }
    let mut control = vec![0; 32];
    control[1] = 0x20;
    control[2] = 4;
    control[6..8].copy_from_slice(b"T4");
    put32(&mut control, 12, domain as usize);
    put32(&mut control, 16, u32::MAX as usize);
    put32(&mut control, 28, fields.len() + 4);
    control.extend([0x30, 0x82]);
    control.extend((fields.len() as u16).to_be_bytes());
    control.extend(fields);
    request(b"XC", &control, 0x2000, 0)
}
