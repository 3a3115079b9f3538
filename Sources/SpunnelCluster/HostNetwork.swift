// How this host is connected, as far as Slurm cares. It is not in the system layer because of
// getaddrinfo(3), which a static program such as the keeper must avoid.

import Glibc
import SpunnelSystem

extension SlurmConfiguration.Network {
  /// The network of this host.
  static var current: SlurmConfiguration.Network {
    SlurmConfiguration.Network(
      hasBothFamilies: Socket.hasMappedAddresses(),
      nameIsLoopback: addresses(of: Host.name) == ["127.0.0.1"])
  }

  /// The addresses of a name, in the order in which programs try them; empty when the name is
  /// unknown.
  private static func addresses(of name: String) -> [String] {
    var hints = unsafe addrinfo()
    unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    guard unsafe getaddrinfo(name, nil, &hints, &list) == 0 else { return [] }
    defer { unsafe freeaddrinfo(list) }
    var addresses: [String] = []
    var next = unsafe list
    while let entry = unsafe next {
      var text = [CChar](repeating: 0, count: 64)
      let result = unsafe getnameinfo(
        entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0,
        NI_NUMERICHOST)
      let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
      let address = String(decoding: bytes, as: UTF8.self)
      if result == 0 && !addresses.contains(address) { addresses.append(address) }
      unsafe next = entry.pointee.ai_next
    }
    return addresses
  }
}
