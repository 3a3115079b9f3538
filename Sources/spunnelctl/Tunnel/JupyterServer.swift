// Reads the runtime file that a Jupyter server writes for `jupyter server list` (jupyter_server,
// `ServerApp.info_file`). The file is in the user's home, readable by the user alone.

import Glibc
import SpunnelCLI
import SpunnelSystem
import SpunnelTunnel

/// A Jupyter server of the user.
struct JupyterServer: Equatable {
  private static let longestFile = 1 << 16
  private static let mostFiles = 200

  let port: Port
  /// The token; `nil` when the server needs none.
  let token: String?
  /// The path where the server's pages begin: `/`, or its `base_url`.
  let path: String

  /// - Parameter text: the content of a runtime file
  init?(_ text: String) {
    guard let object = FlatObject(text), case .number(let number)? = object["port"],
      let port = Port(number), object["secure"] != .bool(true)
    else { return nil }
    self.port = port
    if case .string(let token)? = object["token"], !token.isEmpty, printable(token) == token {
      self.token = token
    } else {
      token = nil
    }
    if case .string(let path)? = object["base_url"], JupyterServer.isPath(path) {
      self.path = path
    } else {
      path = "/"
    }
  }

  /// Whether a text can follow the port in an address: it begins with a slash and prints as it is.
  static func isPath(_ text: String) -> Bool {
    text.hasPrefix("/") && !text.hasPrefix("//")
      && text.utf8.allSatisfy { (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "\"") }
  }

  /// The user's servers by their ports, on any node. If several have one port, the newest counts.
  static func own() -> [Port: JupyterServer] {
    var servers: [Port: JupyterServer] = [:]
    guard let folder, let directory = try? Directory.open(following: folder),
      let attributes = try? directory.attributes(), attributes.st_uid == getuid()
    else { return [:] }
    let names = (try? directory.names { isName($0) ? $0 : nil }) ?? []
    let dated = names.map { (name: $0, time: time(of: "\(folder)/\($0)")) }
      .sorted { $0.time < $1.time }.suffix(mostFiles)
    for (name, _) in dated {
      guard let bytes = try? directory.read(name, atMost: longestFile),
        let server = JupyterServer(String(decoding: bytes, as: UTF8.self))
      else { continue }
      servers[server.port] = server
    }
    return servers
  }

  /// The folder of `jupyter --runtime-dir`.
  private static var folder: String? {
    if let named = Process.environment("JUPYTER_RUNTIME_DIR"), named.hasPrefix("/") { return named }
    if let data = Process.environment("JUPYTER_DATA_DIR"), data.hasPrefix("/") {
      return data + "/runtime"
    }
    return Process.environment("HOME").map { $0 + "/.local/share/jupyter/runtime" }
  }

  private static func isName(_ name: String) -> Bool {
    (name.hasPrefix("jpserver-") || name.hasPrefix("nbserver-")) && name.hasSuffix(".json")
  }

  private static func time(of path: String) -> Int {
    var found = stat()
    return unsafe stat(path, &found) == 0 ? Int(found.st_mtim.tv_sec) : 0
  }
}
