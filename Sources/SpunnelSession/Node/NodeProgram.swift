// spunnel-session: what of a session runs on the node. Its words are written by spunnelctl, not by people.

import Glibc
import SpunnelSystem

package enum NodeProgram {
  static let hold = "hold"
  /// Milliseconds that a session's programs may take for their start.
  private static let patience = 240_000

  /// - Parameter words: the argument vector behind the program's name
  /// - Returns: the exit status
  package static func main(_ words: [ByteString]) -> CInt {
    Process.keepChildren()
    switch words.first?.text {
    case hold: return runHold(words.dropFirst())
    case "attach": return runAttach(words.dropFirst().map(\.text))
    case "tell": return tell()
    case "exec": return ExecRun.run()
    case "gate": return Gate.run()
    case "enter": return Enter.run()
    default: return usage()
    }
  }

  /// `hold KIND [--idle SECONDS] [--keep] [-- CMD…]`
  private static func runHold(_ words: ArraySlice<ByteString>) -> CInt {
    var rest = words
    guard let kind = rest.popFirst().flatMap({ SessionKinds.named($0.text) }) else {
      return refuse("a kind of session that this node does not know: update Spunnel on this node")
    }
    var idle: Int?
    var keeps = false
    while let word = rest.popFirst() {
      if word == "--" { break }
      if word == "--keep" {
        keeps = true
        continue
      }
      guard word == "--idle", let value = rest.popFirst().flatMap({ Int($0.text) }) else {
        return refuse("an option that this node does not know: update Spunnel on this node")
      }
      idle = value
    }
    return Holder.run(kind, idle: idle, keeps: keeps, command: Array(rest))
  }

  private static func runAttach(_ words: [String]) -> CInt {
    guard words.count <= 1, let manner = AttachManner(rawValue: words.first ?? "alone") else {
      return usage()
    }
    return Attach.run(manner)
  }

  /// `tell`: prints the record of this job's session with a new key, for its owner's spunnelctl.
  private static func tell() -> CInt {
    guard let job = Process.environment("SLURM_JOB_ID"),
      let record = HolderSearch.record(job: job, patience: patience)
    else { return refuse("no session answers on this node") }
    guard let kind = SessionKinds.named(record.kind) else {
      return refuse("kind '\(record.kind)': update Spunnel on this node")
    }
    if record.offer.facts[SessionRecord.failed] != nil {
      StandardStream.output.write(record.text)
      Attendance.begin(in: record.path)
      return 0
    }
    do throws(SystemError) {
      let offer = try kind.renew(record)
      StandardStream.output.write(
        SessionRecord(kind: record.kind, offer: offer, path: record.path).text)
    } catch { return refuse("\(error)") }
    return 0
  }

  private static func refuse(_ line: String) -> CInt {
    StandardStream.error.write(line: "spunnel-session: \(line)")
    return 70
  }

  private static func usage() -> CInt {
    StandardStream.error.write(
      line: "spunnel-session is started by spunnelctl session; see spunnelctl session --help")
    return 2
  }
}
