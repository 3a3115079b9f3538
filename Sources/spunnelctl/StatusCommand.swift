// spunnelctl status: a table of the user's tunnels on this host, or one JSON object.

import FoundationEssentials
import Glibc
import Spunnel
import SpunnelSystem

enum StatusCommand: Command {
  static let name = "status"
  static let synopsis = "[--json] [--state-dir DIR]"
  static let summary = "Show your tunnels on this host."
  static let details = """
      --json            one JSON object, described in docs/status.md
      --state-dir DIR   where the records are (plugstack.conf, state_dir=)

    STATE is starting, up, reconnecting (the connection was lost and is being made again;
    the ports are kept), closing, or stale (left by a crash; spunnelctl clean removes it).
    SINCE is when the state began. OPEN counts connections; SENT and RECEIVED are bytes to
    and from the node.
    """

  static func run(_ words: [String]) throws(CommandError) {
    let option = try StateOption(words)
    let unknown = option.rest.first { $0 != "--json" }
    if let unknown { throw .usage("status: '\(printable(unknown))' is no option") }
    let views: [RecordView]
    do throws(RecordError) {
      views = try RecordView.all(in: option.stateDirectory, user: getuid())
    } catch { throw .failure("look at the tunnels: \(error)") }
    if option.rest.isEmpty { showTable(views) } else { try showJSON(views) }
  }

  private static func showTable(_ views: [RecordView]) {
    if views.isEmpty { return say("no tunnels of \(Host.userName) on \(Host.name)") }
    var table = Table([
      "JOB", "STEP", "NODE", "FORWARDS", "STATE", "SINCE", "OPEN", "SENT", "RECEIVED",
    ])
    for view in views {
      table.add([
        String(view.step.job), view.step.stepLabel, view.host?.nodes.first?.description ?? "?",
        view.host.map { forwards($0) } ?? "?",
        view.status.state.rawValue, localTime(view.status.since),
        String(view.status.connections), byteCount(view.status.sent),
        byteCount(view.status.received),
      ])
    }
    say(table.text)
  }

  private static func forwards(_ host: HostFile) -> String {
    (host.forwards.map(\.description) + host.waiting.map(\.description)).joined(separator: ",")
  }

  private static func showJSON(_ views: [RecordView]) throws(CommandError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(StatusReport(views)) else {
      throw .failure("write JSON: the records hold what cannot be written")
    }
    say(String(decoding: data, as: UTF8.self))
  }

  /// A point in time as Slurm's commands print it, in the local time zone.
  private static func localTime(_ milliseconds: Int) -> String {
    if milliseconds == 0 { return "?" }
    var seconds = time_t(milliseconds / 1000)
    var parts = unsafe tm()
    unsafe localtime_r(&seconds, &parts)
    var text = [CChar](repeating: 0, count: 32)
    let count = unsafe strftime(&text, text.count, "%Y-%m-%dT%H:%M:%S", &parts)
    return String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// A number of bytes as `ls -h` prints it.
  private static func byteCount(_ bytes: Int) -> String {
    var (value, unit) = (Double(bytes), 0)
    let units = ["", "K", "M", "G", "T", "P", "E"]
    while value >= 1024 && unit < units.count - 1 {
      value /= 1024
      unit += 1
    }
    if unit == 0 { return String(bytes) }
    let tenths = Int((value * 10).rounded())
    let number = tenths < 100 ? "\(tenths / 10).\(tenths % 10)" : "\(tenths / 10)"
    return number + units[unit]
  }
}

/// What `--json` prints, as docs/status.md describes it.
private struct StatusReport: Encodable {
  struct Forward: Encodable {
    let kind: String
    let node: String
    let submit: UInt16?
    let submitPath: String?
    let exec: UInt16?
    let execPath: String?
    let host: String?
    let far: String

    init(_ forward: Spunnel.Forward, _ far: FarEnd) {
      kind = forward.kind.rawValue
      node = forward.node.description
      (submit, submitPath) = (forward.submit.port?.number, forward.submit.path)
      (exec, execPath) = (forward.exec.port?.number, forward.exec.path)
      host = forward.host.isLocal ? nil : forward.host.description
      self.far = far.rawValue
    }
  }

  struct Connections: Encodable {
    let open: Int
    let accepted: Int
    let refused: Int
  }

  struct Bytes: Encodable {
    let sent: Int
    let received: Int
  }

  struct Tunnel: Encodable {
    let job: UInt32
    let step: String
    let node: String?
    let forwards: [Forward]
    let state: String
    let since: String?
    let started: String?
    let connections: Connections
    let bytes: Bytes
    let keeper: Int?
    let ssh: Int?

    init(_ view: RecordView) {
      let status = view.status
      job = view.step.job
      step = view.step.stepLabel
      node = view.host?.nodes.first?.description
      forwards = (view.host?.forwards ?? []).enumerated().map { index, forward in
        Forward(forward, status.far.indices.contains(index) ? status.far[index] : .unknown)
      }
      state = status.state.rawValue
      since = status.since == 0 ? nil : timestamp(status.since)
      started = status.started == 0 ? nil : timestamp(status.started)
      connections = Connections(
        open: status.connections, accepted: status.accepted, refused: status.refused)
      bytes = Bytes(sent: status.sent, received: status.received)
      keeper = status.keeper == 0 ? nil : status.keeper
      ssh = status.ssh == 0 ? nil : status.ssh
    }
  }

  let version = 1
  let host = Host.name
  let user = Host.userName
  let tunnels: [Tunnel]

  init(_ views: [RecordView]) { tunnels = views.map { Tunnel($0) } }
}
