// A session that is seen in a browser: its address, by a tunnel that is opened for it.

import Glibc
import SpunnelCLI
import SpunnelSession
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

struct SessionView {
  /// Milliseconds for an answer of the node: the session may be starting.
  private static let patience = 300_000

  let job: String
  let kind: any SessionKind.Type
  private let record: SessionRecord

  /// Asks the session for a new key. Its address is the only one that opens the page from now on.
  init(_ session: SessionJob, _ kind: any SessionKind.Type) throws(CommandError) {
    job = session.id
    self.kind = kind
    let result = try Sessions.srun(
      try Sessions.programs().tell(job: job), milliseconds: SessionView.patience)
    guard result.succeeded, let record = SessionRecord(text: result.output) else {
      // The job's own end tells more.
      if let now = try Sessions.ask(job), now.phase != .running { try SessionWait.ended(job) }
      throw .failure(
        "find the address of session \(job): srun: \(printable(result.lastLine)): try again with "
          + "spunnelctl session url \(job)")
    }
    if let reason = record.offer.facts["failed"] {
      throw .failure("session \(job) on \(session.node): \(printable(reason))")
    }
    self.record = record
  }

  /// What a browser opens, on this host and on the user's own computer once the ssh line runs there.
  func address() throws(CommandError) -> (address: String, command: String?) {
    guard let socket = record.offer.socket, let page = record.offer.page else {
      throw .failure("find the address of session \(job): its kind has none")
    }
    let forward = try SessionTunnel.forward(job, to: socket)
    return (
      "http://localhost:\(forward.listen)\(page)",
      Announcement([forward], through: try StateOption(nil).loginName).command
    )
  }

  /// Prints the address.
  func tell() throws(CommandError) -> String {
    let found = try address()
    try say(found.address)
    if let command = found.command { remark("on your own computer, first: \(command)") }
    return found.address
  }

  /// A viewer of the kind's own, by a tunnel to the program itself.
  func startViewer() throws(CommandError) {
    guard let socket = record.offer.facts["viewer"] else {
      throw .failure(
        "view session \(job): a session of kind \(kind.name) has no viewer: add --browser")
    }
    let forward = try SessionTunnel.forward(job, to: socket)
    let viewer = SessionViewer(port: "\(forward.listen)", password: record.offer.facts["password"])
    guard try viewer.start() else {
      throw .failures([
        "view session \(job): no \(SessionViewer.name) on PATH of this host: open \(viewer.place) "
          + "with yours",
        Announcement([forward], through: try StateOption(nil).loginName).command.map {
          "on your own computer, first: \($0)"
        } ?? "",
      ])
    }
  }
}

/// The tunnel to a unix socket of a session, one for each socket and host: the job's own keeper has it.
enum SessionTunnel {
  /// The forward that is there, or a new one at a free port.
  static func forward(_ job: String, to socket: String) throws(CommandError) -> Forward {
    let option = try StateOption(nil)
    if let found = try existing(job, to: socket, option) { return found }
    let spec: TunnelSpec
    do throws(SpecError) { spec = try TunnelSpec(":\(socket)") } catch {
      throw .failure("open a tunnel to session \(job): \(error)")
    }
    var request = OpenRequest(
      job: job, spec: spec, option: option, waits: false, isHeld: false,
      output: Output(isJSON: false))
    request.isQuiet = true
    try request.run()
    guard let forward = request.opened.first else {
      throw .failure(
        "open a tunnel to session \(job): it has no port: see spunnelctl status \(job)")
    }
    return forward
  }

  private static func existing(
    _ job: String, to socket: String, _ option: StateOption
  ) throws(CommandError) -> Forward? {
    guard let argument = TunnelArgument(ifJob: job) else { return nil }
    // A step's tunnel goes with its step.
    let views = try liveTunnels(in: option.stateDirectory).filter {
      $0.step.isWholeJob && argument.matches($0.step) && $0.state == .up
    }
    return views.flatMap { $0.host?.forwards ?? [] }.first {
      $0.kind == .local && $0.connect.path == socket && $0.listen.port != nil
    }
  }
}

/// A browser or a viewer on this host. A secret is never on its command line.
struct SessionViewer {
  let port: String
  let password: String?

  static let name = "vncviewer"

  var place: String {
    "localhost:\(port)" + (password.map { ", password \($0)," } ?? "")
  }

  /// - Returns: false when there is no such program
  func start() throws(CommandError) -> Bool {
    guard let path = Program.find(SessionViewer.name) else { return false }
    // TigerVNC's viewer takes the password from here.
    let secret = password.map { [ByteString("VNC_PASSWORD=\($0)")] } ?? []
    try SessionViewer.start(
      Program(path, ["localhost::\(port)"], environment: Process.environment() + secret))
    return true
  }

  /// Opens an address by way of a page that only the user can read, as a command line is everybody's.
  static func browse(_ address: String) throws(CommandError) {
    let own = Process.environment("BROWSER").flatMap { $0.isEmpty ? nil : $0 }
    let names = [own, "xdg-open", "firefox", "chromium", "google-chrome"].compactMap { $0 }
    guard let path = names.lazy.compactMap({ Program.find($0) }).first else {
      throw .failure("open a browser: no xdg-open on PATH of this host: open the address yourself")
    }
    guard let home = Process.environment("HOME"), home.hasPrefix("/") else {
      throw .failure("open a browser: HOME is not set: open the address yourself")
    }
    let folder = home + "/.spunnel"
    // One name: the page has a key, and nobody removes it.
    let name = "session.html"
    do throws(SystemError) {
      try Directory.createPath(folder)
      let page = """
        <!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">
        <title>Session</title><script>location.replace("\(address)")</script>

        """
      try Directory.open(folder).replace(name, with: Array(page.utf8))
    } catch { throw .failure("open a browser: \(error)") }
    try start(Program(path, ["\(folder)/\(name)"], environment: Process.environment()))
  }

  private static func start(_ program: Program) throws(CommandError) {
    do throws(SystemError) {
      let nothing = try FileDescriptor.open("/dev/null", O_RDWR)
      var program = program
      program.descriptors = [nothing.raw, nothing.raw, nothing.raw]
      try program.startDetached()
    } catch { throw .failure("\(error)") }
  }
}
