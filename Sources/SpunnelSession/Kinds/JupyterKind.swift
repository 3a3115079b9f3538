// Notebooks: the user's own JupyterLab on a unix socket, in the browser.

import Glibc
import SpunnelSystem

/// Jupyter gets its settings from a directory of configuration that stands above the user's own
/// (`JUPYTER_CONFIG_PATH`), so any command that starts it will do.
package final class JupyterKind: SessionKind {
  package static let name = "jupyter"
  package static let letters = "jupyter"
  package static let summary = "Start JupyterLab, seen in the browser."
  package static let needs = "JupyterLab (or its module: load it before you type this)"
  package static let isSeenInBrowser = true

  /// Milliseconds that Jupyter may take for its start: it may be read from a slow home.
  private static let patience = 180_000
  private static let log = "jupyter.log"
  private static let programs = ["jupyter-lab", "jupyter-notebook"]

  private var child: pid_t = 0
  private var gate: BrowserGate?

  package init() {}

  package func start(
    _ place: SessionPlace, command: [ByteString]
  ) throws(SessionFailure) -> SessionOffer {
    let socket = "\(place.path)/jupyter.sock"
    let token = try SessionFailure.from { () throws(SystemError) in try Secret.make() }
    let program = try JupyterKind.program(place, command, token: token)
    child = try SessionFailure.from { () throws(SystemError) in
      try JupyterKind.configure(place, socket: socket, token: token)
      return try place.start(program, log: JupyterKind.log)
    }
    try place.wait(for: child, log: JupyterKind.log, milliseconds: JupyterKind.patience) {
      Socket.canConnect(unix: socket)
    }
    var settings = try place.gateSettings(next: "/")
    settings.backend = socket
    settings.header = "Authorization: token \(token)"
    let gate = try BrowserGate(place, settings)
    self.gate = gate
    return gate.offer()
  }

  private static func program(
    _ place: SessionPlace, _ command: [ByteString], token: String
  ) throws(SessionFailure) -> Program {
    var program: Program?
    if let first = command.first {
      program = try place.program(first.text, [], package: "jupyterlab")
      program?.arguments = command
    }
    for name in programs where program == nil {
      program = try? place.program(name, [], package: "jupyterlab")
    }
    guard var program else { throw .missing(program: "jupyter-lab", package: "jupyterlab") }
    let own = "\(place.path)/jupyter"
    let paths = SessionEnvironment.value(of: "JUPYTER_CONFIG_PATH", in: place.environment)
    program.environment =
      place.environment.filter {
        !["JUPYTER_CONFIG_PATH", "JUPYTER_RUNTIME_DIR", "JUPYTER_TOKEN"].contains(
          SessionEnvironment.name(of: $0) ?? "")
      } + [
        "JUPYTER_CONFIG_PATH=\(own)" + (paths.map { ":" + $0 } ?? ""),
        "JUPYTER_RUNTIME_DIR=\(own)", "JUPYTER_TOKEN=\(token)",
      ]
    return program
  }

  /// Kernels speak over unix sockets as well: their TCP ports would show outputs to anybody on the node.
  private static func configure(
    _ place: SessionPlace, socket: String, token: String
  ) throws(SystemError) {
    let directory = try Directory.open(place.path)
    try directory.create("jupyter")
    let folder = try directory.open("jupyter")
    let server = """
      "sock": "\(socket)", "sock_mode": "0600", "open_browser": false
      """
    let kernels = """
      "ConnectionFileMixin": {"transport": "ipc"}, "KernelManager": {"transport": "ipc"}
      """
    let files = [
      "jupyter_server_config.json": """
      {"ServerApp": {\(server)}, "IdentityProvider": {"token": "\(token)"}, \(kernels)}
      """,
      "jupyter_notebook_config.json": """
      {"NotebookApp": {\(server), "token": "\(token)"}, \(kernels)}
      """,
    ]
    for (name, text) in files { try folder.replace(name, with: Array((text + "\n").utf8)) }
  }

  package func childEnded(_ child: pid_t, status: Int, _ place: SessionPlace) -> Int? {
    if child == self.child {
      if status != 0, let line = place.lastLine(of: JupyterKind.log) {
        StandardStream.error.write(line: "spunnel-session: jupyter: \(line)")
      }
      return status
    }
    return gate?.outlives(child) == false ? SessionFailure.refused("").status : nil
  }

  /// A notebook has no place for it.
  package func warn(_ line: String, _ place: SessionPlace) -> Bool { false }

  package func end(_ place: SessionPlace) { if child > 0 { _ = kill(child, SIGTERM) } }

  package static func renew(_ record: SessionRecord) throws(SystemError) -> SessionOffer {
    try BrowserGate.renew(record)
  }
}
