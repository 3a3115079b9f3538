// The protocol of coordinator and agent over srun's standard input and output: ASCII lines, which
// may announce bytes.
//
//     frame   = kind *(SP number) SP length LF *byte LF
//     kind    = one letter, see Frame.Kind
//     length  = the number of bytes; all numbers are decimal
//
// A frame ends with a newline because slurmstepd passes on output at line ends.

/// One message of the pool's protocol.
package struct Frame: Equatable, Sendable {
  /// The meaning of a frame. Parentheses name the numbers and bytes that follow.
  package enum Kind: UInt8, Sendable {
    // To the agent:
    /// Run a command line (task, command).
    case task = 0x54  // T
    /// Start no more tasks, and hand back those that have not started.
    case stop = 0x53  // S
    /// Kill all running tasks.
    case kill = 0x4B  // K
    /// Answer with `pong`.
    case ping = 0x50  // P

    // To the coordinator:
    /// A task ended (task, exit status, signal, start in ms since 1970, run time in ms, processor
    /// time in ms, peak memory in KB, bytes of output).
    case done = 0x44  // D
    /// A task could not be started (task, reason).
    case failed = 0x46  // F
    /// A task was not started and may go elsewhere (task).
    case back = 0x42  // B
    /// A task was ended from outside together with the agent, and must run again (task).
    case interrupted = 0x49  // I
    /// Output of a task whose `done` follows (task, output).
    case output = 0x4F  // O
    /// A slot is free and no task waits at the agent.
    case idle = 0x45  // E
    /// A signal told the agent to end.
    case leaving = 0x58  // X
    /// A line for the user (words).
    case note = 0x4E  // N
    /// The answer to `ping`.
    case pong = 0x51  // Q
  }

  package let kind: Kind
  package let numbers: [Int]
  package let bytes: [UInt8]

  package init(_ kind: Kind, _ numbers: [Int] = [], _ bytes: [UInt8] = []) {
    self.kind = kind
    self.numbers = numbers
    self.bytes = bytes
  }

  /// The agent's first line. Anything before it is not part of the protocol.
  package static let greeting = "spunnel-pool agent 1"

  /// Appends the frame in the form in which it is sent.
  package func append(to output: inout [UInt8]) {
    output.append(kind.rawValue)
    for number in numbers {
      output.append(UInt8(ascii: " "))
      output.appendDecimal(number)
    }
    output.append(UInt8(ascii: " "))
    output.appendDecimal(bytes.count)
    output.append(UInt8(ascii: "\n"))
    output += bytes
    output.append(UInt8(ascii: "\n"))
  }
}

/// Bytes that do not follow the protocol.
package struct FrameError: Error, Equatable, CustomStringConvertible {
  /// The offending line, shortened.
  package let line: String
  package var description: String { "unexpected words '\(line)'" }
}

/// Parses a stream of bytes into frames.
package struct FrameReader {
  /// The longest command line or piece of output, in bytes.
  package static let longestPayload = 1 << 18
  private static let longestHeader = 256

  private var buffer: [UInt8] = []
  private var position = 0

  package init() {}

  /// Adds bytes as they arrive, in any pieces.
  package mutating func feed(_ bytes: [UInt8]) {
    if position == buffer.count {
      buffer = bytes
    } else {
      buffer.removeFirst(position)
      buffer += bytes
    }
    position = 0
  }

  /// Reads a line that precedes the first frame.
  ///
  /// - Returns: the line without its newline; `nil` while it is incomplete
  package mutating func nextLine() -> String? {
    guard let end = buffer[position...].firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    defer { position = end + 1 }
    return String(decoding: buffer[position..<end], as: UTF8.self)
  }

  /// Reads a frame; `nil` while it is incomplete.
  package mutating func next() throws(FrameError) -> Frame? {
    guard let end = buffer[position...].firstIndex(of: UInt8(ascii: "\n")) else {
      if buffer.count - position > FrameReader.longestHeader { throw error(upTo: buffer.count) }
      return nil
    }
    guard end > position, let header = parse(position + 1..<end),
      let kind = Frame.Kind(rawValue: buffer[position])
    else { throw error(upTo: end) }
    let last = end + 1 + header.length
    guard last < buffer.count else { return nil }
    guard buffer[last] == UInt8(ascii: "\n") else { throw error(upTo: end) }
    position = last + 1
    return Frame(kind, header.numbers, Array(buffer[end + 1..<last]))
  }

  /// Parses ` 1 2 3`. The last number is the length of the payload.
  private func parse(_ range: Range<Int>) -> (numbers: [Int], length: Int)? {
    guard range.count < FrameReader.longestHeader else { return nil }
    var numbers: [Int] = []
    var digits = 1
    for byte in buffer[range] {
      switch byte {
      case UInt8(ascii: " "):
        guard digits > 0 else { return nil }
        numbers.append(0)
        digits = 0
      case UInt8(ascii: "0")...UInt8(ascii: "9"):
        digits += 1
        guard let last = numbers.indices.last, digits <= 18 else { return nil }
        numbers[last] = numbers[last] * 10 + Int(byte - UInt8(ascii: "0"))
      default: return nil
      }
    }
    guard digits > 0, let length = numbers.popLast(), length <= FrameReader.longestPayload else {
      return nil
    }
    return (numbers, length)
  }

  private func error(upTo end: Int) -> FrameError {
    FrameError(line: String(decoding: buffer[position..<end].prefix(60), as: UTF8.self))
  }
}

extension [UInt8] {
  /// Appends a non-negative number in decimal digits.
  mutating func appendDecimal(_ number: Int) {
    let first = count
    var rest = Swift.max(0, number)
    repeat {
      append(UInt8(ascii: "0") + UInt8(rest % 10))
      rest /= 10
    } while rest > 0
    self[first...].reverse()
  }

  mutating func append(text: String) { self += text.utf8 }
}
