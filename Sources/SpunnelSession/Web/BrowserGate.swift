// The holder's side of the gate: what kinds that are seen in a browser share.

import Glibc
import SpunnelSystem

/// The gate as a child of the holder.
final class BrowserGate {
  private static let log = "gate.log"
  /// Milliseconds for the gate to listen.
  private static let patience = 10_000
  /// Milliseconds that a gate must have lived to be started again.
  private static let shortLife = 2000

  private let place: SessionPlace
  private var child: pid_t = 0
  private var began = 0

  /// Starts the gate, and waits until it listens.
  init(_ place: SessionPlace, _ settings: GateSettings) throws(SessionFailure) {
    self.place = place
    do throws(SystemError) {
      try Directory.open(place.path).replace(GateSettings.file, with: Array(settings.text.utf8))
      try start()
    } catch { throw .refused("\(error)") }
    let socket = "\(place.path)/\(Gate.socket)"
    try place.wait(for: child, log: BrowserGate.log, milliseconds: BrowserGate.patience) {
      Socket.canConnect(unix: socket)
    }
  }

  private func start() throws(SystemError) {
    guard let own = Host.executable else { throw SystemError("read /proc/self/exe", ENOENT) }
    began = Clock.milliseconds()
    child = try place.start(
      Program(
        path: ByteString(own), arguments: [ByteString(own), "gate"],
        environment: place.environment, descriptors: []), log: BrowserGate.log)
  }

  /// Starts the gate again when it was the child that has ended.
  ///
  /// - Returns: false when it cannot live
  func outlives(_ ended: pid_t) -> Bool {
    guard ended == child else { return true }
    guard Clock.milliseconds() - began > BrowserGate.shortLife else { return false }
    do throws(SystemError) { try start() } catch { return false }
    return true
  }

  /// The offer of a kind behind the gate.
  ///
  /// - Parameter facts: more for the kind's own attach
  func offer(_ facts: [String: String] = [:]) -> SessionOffer {
    SessionOffer(socket: "\(place.path)/\(Gate.socket)", facts: facts)
  }

  /// A new key for the page's address, which makes the one before void.
  static func renew(_ record: SessionRecord) throws(SystemError) -> SessionOffer {
    let key = try Secret.make()
    try Directory.open(record.path).replace(GateSettings.key, with: Array("\(key)\n".utf8))
    var offer = record.offer
    offer.page = GateRules.landing + "#" + key
    return offer
  }
}

extension SessionPlace {
  /// Starts a program of the session that ends with the holder, its output in a file of the directory.
  ///
  /// - Parameter more: descriptors that become 3 and on in the program
  func start(_ program: Program, log: String, more: [CInt] = []) throws(SystemError) -> pid_t {
    let nothing = try FileDescriptor.open("/dev/null", O_RDONLY)
    let output = try FileDescriptor.open(
      "\(path)/\(log)", O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW)
    var program = program
    program.descriptors = [nothing.raw, output.raw, output.raw] + more
    program.parentDeathSignal = SIGTERM
    return try program.start()
  }

  /// The gate's settings with a new secret.
  ///
  /// - Parameter next: where the kind's page begins, as in `/`
  func gateSettings(next: String) throws(SessionFailure) -> GateSettings {
    let job = SessionEnvironment.value(of: "SLURM_JOB_ID", in: environment)?.text ?? "0"
    do throws(SystemError) {
      return GateSettings(job: job, secret: try Secret.make(), next: next)
    } catch { throw .refused("\(error)") }
  }

  /// Waits for a child to be ready.
  ///
  /// - Parameters:
  ///   - log: the file whose last line tells why it was not
  ///   - milliseconds: the longest wait
  func wait(
    for child: pid_t, log: String, milliseconds: Int, until isReady: () -> Bool
  ) throws(SessionFailure) {
    let end = Clock.milliseconds() + milliseconds
    while !isReady() {
      if case .ended(let status) = Process.poll(child) {
        throw .refused(lastLine(of: log) ?? "it ended with status \(status)")
      }
      if isAskedToEnd { throw .refused("the session was stopped while it started") }
      if Clock.milliseconds() > end {
        let said = lastLine(of: log).map { ": \($0)" } ?? ""
        throw .refused("not ready after \(milliseconds / 1000) s\(said)")
      }
      usleep(10_000)
    }
  }

  /// The last line of a program's output that is not empty, and shows no token.
  func lastLine(of log: String) -> String? {
    guard let bytes = try? Directory.open(path).readEnd(log, atMost: 4096) else { return nil }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
      .last { !$0.allSatisfy(\.isWhitespace) && !$0.mentions("token=") }.map { printable($0) }
  }

  /// Whether Slurm or the user has asked the holder to end, which blocks the signals until it waits.
  private var isAskedToEnd: Bool {
    var pending = sigset_t()
    guard unsafe sigpending(&pending) == 0 else { return false }
    return unsafe sigismember(&pending, SIGTERM) == 1
  }
}
