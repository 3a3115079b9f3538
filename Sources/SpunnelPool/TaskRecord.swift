// One line of the pool's log: the columns of GNU parallel, then columns of the pool.

/// How one task ended.
package struct TaskRecord: Equatable, Sendable {
  /// The names of the columns. Those of GNU parallel's joblog come first.
  package static let header =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand"
    + "\tTry\tCPUTime\tMaxRSS\n"

  /// The exit value of a task with an unknown end: its node died too often.
  package static let unknown = 125
  /// The exit value of a task that could not be started.
  package static let notStarted = 126

  /// The number of the task's line.
  package var task: Int
  package var host: String
  /// The start, in milliseconds since 1970.
  package var start: Int
  package var runMilliseconds: Int
  /// Bytes of output that the coordinator printed.
  package var received = 0
  /// The exit status; 0 if a signal ended the task.
  package var exitStatus: Int
  package var signal: Int
  package var command: [UInt8]
  /// The number of the attempt, from 1.
  package var attempt = 1
  package var processorMilliseconds = 0
  package var peakKilobytes = 0

  /// The status as a shell has it in `$?`.
  package var status: Int { signal > 0 ? 128 + signal : exitStatus }

  /// The line with its newline.
  package var line: [UInt8] {
    var line: [UInt8] = []
    line.reserveCapacity(command.count + 100)
    line.appendDecimal(task)
    line.append(text: "\t\(host)\t")
    line.appendSeconds(start)
    line.append(UInt8(ascii: "\t"))
    line.appendSeconds(runMilliseconds, width: 10)
    for number in [0, received, exitStatus, signal] {
      line.append(UInt8(ascii: "\t"))
      line.appendDecimal(number)
    }
    line.append(UInt8(ascii: "\t"))
    line += TaskRecord.column(command[...])
    line.append(UInt8(ascii: "\t"))
    line.appendDecimal(attempt)
    line.append(UInt8(ascii: "\t"))
    line.appendSeconds(processorMilliseconds)
    line.append(UInt8(ascii: "\t"))
    line.appendDecimal(peakKilobytes)
    line.append(UInt8(ascii: "\n"))
    return line
  }

  /// A command in the form of the log.
  ///
  /// Most commands are written unchanged. Tabs, newlines and other control characters would break
  /// the columns, so a command with them is written like a word of bash: `$'a\tb'`. Different
  /// commands always have different forms.
  package static func column(_ command: ArraySlice<UInt8>) -> [UInt8] {
    let quote: [UInt8] = [UInt8(ascii: "$"), UInt8(ascii: "'")]
    let isPlain = !command.contains { $0 < 0x20 || $0 == 0x7F } && !command.starts(with: quote)
    if isPlain { return Array(command) }
    var column = quote
    for byte in command {
      switch byte {
      case UInt8(ascii: "\n"): column.append(text: "\\n")
      case UInt8(ascii: "\t"): column.append(text: "\\t")
      case UInt8(ascii: "\\"), UInt8(ascii: "'"): column += [UInt8(ascii: "\\"), byte]
      case 0..<0x20, 0x7F:
        column.append(UInt8(ascii: "\\"))
        for shift in [6, 3, 0] { column.append(UInt8(ascii: "0") + (byte >> UInt8(shift)) & 7) }
      default: column.append(byte)
      }
    }
    column.append(UInt8(ascii: "'"))
    return column
  }
}

/// A task of an earlier run, as far as `--resume` needs it.
package struct EarlierTask: Equatable {
  package let task: Int
  package let status: Int
  /// The command in the form of `TaskRecord.column`.
  package let command: ArraySlice<UInt8>

  /// Reads a line of a pool's log or of GNU parallel's joblog.
  ///
  /// - Parameter line: the line without its newline
  /// - Returns: `nil` for the header, and for a torn or damaged line
  package init?(_ line: ArraySlice<UInt8>) {
    let columns = line.split(
      separator: UInt8(ascii: "\t"), maxSplits: 11, omittingEmptySubsequences: false)
    guard columns.count == 9 || columns.count == 12,
      let task = EarlierTask.number(columns[0]), task > 0,
      let exit = EarlierTask.number(columns[6]), let signal = EarlierTask.number(columns[7])
    else { return nil }
    if columns.count == 12, EarlierTask.number(columns[11]) == nil { return nil }
    self.task = task
    status = signal > 0 ? 128 + signal : exit
    command = columns[8]
  }

  private static func number(_ text: ArraySlice<UInt8>) -> Int? {
    guard !text.isEmpty, text.count < 18 else { return nil }
    var number = 0
    for byte in text {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
      number = number * 10 + Int(byte - UInt8(ascii: "0"))
    }
    return number
  }
}

extension [UInt8] {
  /// Appends milliseconds as seconds with three decimals.
  ///
  /// - Parameter width: the least number of characters; spaces are put in front
  mutating func appendSeconds(_ milliseconds: Int, width: Int = 0) {
    let first = count
    appendDecimal(milliseconds / 1000)
    append(UInt8(ascii: "."))
    let rest = Swift.max(0, milliseconds) % 1000
    for unit in [100, 10, 1] { append(UInt8(ascii: "0") + UInt8(rest / unit % 10)) }
    let missing = width - (count - first)
    if missing > 0 {
      insert(contentsOf: [UInt8](repeating: UInt8(ascii: " "), count: missing), at: first)
    }
  }
}
