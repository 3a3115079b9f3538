// queue --watch on a terminal: a cursor, and keys that act on the job under it.

import Glibc
import SpunnelCLI
import SpunnelQueue
import SpunnelSlurm
import SpunnelSystem

final class QueueScreen: KeyedScreen {
  /// Seconds after its end from which a job is dim, and after which it is gone.
  private static let brightSeconds = 30
  private static let shownSeconds = 600
  private static let logTail = 1 << 16
  private static let keys =
    "up/down: choose  enter: info  e: explain  l: log  c: cancel  t: tunnel's address  q: end"

  /// What stands in front of the list.
  private enum Page {
    case text(title: String, lines: [String])
    /// The end of a job's output, read again at each drawing.
    case log(label: String, path: String)
  }

  private let tools: QueueTools
  private var report: QueueReport?
  private var rows: [QueueRow] = []
  /// The job under the cursor, and where it was last.
  private var chosen: String?
  private var cursor = 0
  private var top = 0
  private var bodyHeight = 20
  private var page: Page?
  /// The job that is to be cancelled, if the answer is yes.
  private var question: QueueRow?
  private var message = ""

  init(_ tools: QueueTools) { self.tools = tools }

  /// Takes in what was reported.
  func take(_ report: QueueReport) {
    self.report = report
    rows = report.rows.filter { row in
      row.phase != .over || report.now - (row.ended ?? 0) < QueueScreen.shownSeconds
    }
    if let chosen, let place = rows.firstIndex(where: { $0.label == chosen }) { cursor = place }
    move(to: cursor)
  }

  private func move(to place: Int) {
    cursor = max(0, min(place, rows.count - 1))
    chosen = rows.indices.contains(cursor) ? rows[cursor].label : nil
  }

  // MARK: Drawing

  func lines(columns: Int, rows height: Int) -> [ScreenLine] {
    bodyHeight = max(1, height - 2)
    switch page {
    case .text(let title, let lines): return sheet(title, lines)
    case .log(let label, let path): return sheet("log of job \(label): \(path)", end(of: path))
    case nil: return list()
    }
  }

  private func sheet(_ title: String, _ lines: [String]) -> [ScreenLine] {
    [ScreenLine(printable(title), .dim)]
      + lines.prefix(bodyHeight).map { ScreenLine(printable($0, atMost: 1000)) }
      + [ScreenLine("any key: back", .dim)]
  }

  private func list() -> [ScreenLine] {
    top = min(max(top, cursor - bodyHeight + 1), cursor)
    let seen = Array(rows[min(top, rows.count)..<min(top + bodyHeight, rows.count)])
    let texts = (report?.table(of: seen).text(columns: nil) ?? "").split(
      separator: "\n", omittingEmptySubsequences: false)
    var lines = [ScreenLine(texts.first.map(String.init) ?? "", .dim)]
    for (index, text) in texts.dropFirst().enumerated() {
      lines.append(ScreenLine(String(text), style(seen[index], isChosen: top + index == cursor)))
    }
    if rows.isEmpty { lines.append(ScreenLine("no jobs")) }
    return lines + [footer]
  }

  private func style(_ row: QueueRow, isChosen: Bool) -> ScreenLine.Style {
    if isChosen { return .chosen }
    let isOld = (report?.now ?? 0) - (row.ended ?? 0) > QueueScreen.brightSeconds
    return row.phase == .over && isOld ? .dim : .plain
  }

  private var footer: ScreenLine {
    if let question {
      return ScreenLine(
        "Cancel job \(question.label) (\(printable(question.name)))? y: yes, any other key: no")
    }
    return message.isEmpty
      ? ScreenLine(QueueScreen.keys, .dim) : ScreenLine(printable(message))
  }

  // MARK: Keys

  func press(_ key: Key) -> KeyOutcome {
    message = ""
    if page != nil {
      page = nil
      return .redraw
    }
    if let row = question {
      question = nil
      if key != .letter("y") { return .redraw }
      cancel(row)
      return .look
    }
    switch key {
    case .up, .letter("k"): move(to: cursor - 1)
    case .down, .letter("j"): move(to: cursor + 1)
    case .pageUp: move(to: cursor - bodyHeight)
    case .pageDown: move(to: cursor + bodyHeight)
    case .home, .letter("g"): move(to: 0)
    case .end, .letter("G"): move(to: rows.count - 1)
    case .letter("q"), .escape: return .quit
    default: act(key)
    }
    return .redraw
  }

  /// On the job under the cursor.
  private func act(_ key: Key) {
    guard rows.indices.contains(cursor) else { return }
    let row = rows[cursor]
    switch key {
    case .enter: ask("info", row)
    case .letter("e"): ask("explain", row)
    case .letter("t"): ask("url", row)
    case .letter("l"): showLog(row)
    case .letter("c"):
      if row.phase == .over {
        message = "job \(row.label) is over: \(row.status.words)"
      } else {
        question = row
      }
    default: break
    }
  }

  /// What this program's own command says of the job.
  private func ask(_ command: String, _ row: QueueRow) {
    guard let own = Host.executable else { return }
    let program = Program(
      own, [command, name(row)], environment: tools.environment ?? Process.environment())
    do throws(SystemError) {
      let said = try program.capture(milliseconds: 60_000).output
      page = .text(
        title: "\(command) \(row.label)", lines: said.split(separator: "\n").map(String.init))
    } catch { message = "\(command): \(error)" }
  }

  private func showLog(_ row: QueueRow) {
    do throws(CommandError) {
      guard let reference = JobReference(name(row)), let job = try tools.find(reference).first
      else { return }
      page = .log(label: row.label, path: job.outputPath)
    } catch { message = error.lines.first ?? "" }
  }

  private func cancel(_ row: QueueRow) {
    do throws(CommandError) {
      let scancel = try tools.program("scancel")
      let program = Program(
        path: scancel, arguments: ["scancel", ByteString(name(row))],
        environment: tools.environment, descriptors: [])
      do throws(SystemError) {
        let result = try program.capture(milliseconds: 30_000)
        message = result.succeeded ? "job \(row.label) is being cancelled" : result.lastLine
      } catch { message = "cancel job \(row.label): \(error)" }
    } catch { message = error.lines.first ?? "" }
  }

  /// As commands take it: of tasks that wait together, all of the array.
  private func name(_ row: QueueRow) -> String {
    if let array = row.array, row.task == nil { return String(array) }
    return row.label
  }

  /// As many of the last lines as there is room for.
  private func end(of path: String) -> [String] {
    do throws(SystemError) {
      let file = try FileDescriptor.open(path, O_RDONLY | O_NONBLOCK)
      let size = try file.size()
      if size > QueueScreen.logTail {
        try check("lseek") { lseek(file.raw, off_t(size - QueueScreen.logTail), SEEK_SET) }
      }
      let bytes = try file.content(expecting: 0, atMost: QueueScreen.logTail)
      return String(decoding: bytes, as: UTF8.self).split(
        separator: "\n", omittingEmptySubsequences: false
      ).suffix(bodyHeight).map(String.init)
    } catch { return ["\(error)"] }
  }
}
