// `spunnelctl url --open`: opens the user's browser, if this host has one.

import Glibc
import SpunnelCLI
import SpunnelSystem

enum Browser {
  /// Opens an address, and waits for the program that opens it.
  ///
  /// - Parameters:
  ///   - address: the address
  ///   - otherwise: what the user can do without a browser, for the error
  static func open(_ address: String, otherwise: String) throws(CommandError) {
    guard let words = words(environment: Process.environment) else {
      throw .failure(
        "url --open: no browser here, as BROWSER names none and there is no display: \(otherwise)")
    }
    guard let path = Program.find(words[0]) else {
      throw .failure("url --open: '\(printable(words[0]))': no such program on PATH")
    }
    var program = Program(
      path, Array(words.dropFirst()) + [address], environment: Process.environment())
    program.descriptors = [0, 1, 2]
    program.newSession = false
    do throws(SystemError) {
      let child = try program.start()
      while true {
        if case .ended(let status) = Process.poll(child) {
          if status == 0 { return }
          throw SystemError("run \(path)", status == 127 ? ENOENT : ECANCELED)
        }
        usleep(10_000)
      }
    } catch {
      throw .failure("url --open: \(printable(words[0])) did not open '\(address)': \(otherwise)")
    }
  }

  /// The command that opens an address: the first of `BROWSER`, or xdg-open if there is a display;
  /// `nil` for neither.
  static func words(environment: (String) -> String?) -> [String]? {
    let named = environment("BROWSER").flatMap { $0.split(separator: ":").first }
    if let named {
      let words = named.split(separator: " ").map(String.init).filter { $0 != "%s" }
      if !words.isEmpty { return words }
    }
    let hasDisplay = ["DISPLAY", "WAYLAND_DISPLAY"].contains {
      environment($0).map { !$0.isEmpty } ?? false
    }
    return hasDisplay ? ["xdg-open"] : nil
  }
}
