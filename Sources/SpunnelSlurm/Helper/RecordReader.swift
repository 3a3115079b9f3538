// Reads the answers of spunnel-jobs to list, nodes, partitions and config.
// Sources/SlurmHelper/record.h describes the format.

/// One record of an answer: a value for each column.
package struct HelperRecord {
  /// The index of each column by name.
  private(set) var columns: [String: Int] = [:]
  fileprivate(set) var bytes: [UInt8] = []
  /// The range of each value in the bytes.
  fileprivate var bounds: [Range<Int>] = []

  fileprivate init() {}

  fileprivate mutating func name(_ names: [String]) {
    columns = [:]
    for (index, name) in names.enumerated() { columns[name] = index }
  }

  /// The index of a column; `nil` if the answer lacks it.
  package func index(of column: String) -> Int? { columns[column] }

  /// The value of a column as text; empty if it is unknown.
  package func text(_ column: String) -> String {
    guard let index = columns[column] else { return "" }
    return text(at: index)
  }

  /// The value of a column as a whole number.
  ///
  /// - Returns: `nil` if it is unknown, too large or `unlimited`
  package func number(_ column: String) -> Int? {
    guard let index = columns[column] else { return nil }
    return number(at: index)
  }

  /// The text of a column whose index is known. An answer may have a hundred thousand records, so
  /// the name is looked up only once.
  package func text(at index: Int) -> String {
    let value = bytes[bounds[index]]
    if !value.contains(UInt8(ascii: "\\")) { return String(decoding: value, as: UTF8.self) }
    return String(decoding: RecordReader.unescaped(value), as: UTF8.self)
  }

  /// The number of a column whose index is known; `nil` as in `number(_:)`.
  package func number(at index: Int) -> Int? {
    let range = bounds[index]
    if range.isEmpty || range.count > 18 { return nil }
    var value = 0
    var at = range.lowerBound
    let isNegative = bytes[at] == UInt8(ascii: "-")
    if isNegative { at += 1 }
    if at == range.upperBound { return nil }
    while at < range.upperBound {
      let digit = Int(bytes[at]) - 48
      if digit < 0 || digit > 9 { return nil }
      value = value * 10 + digit
      at += 1
    }
    return isNegative ? -value : value
  }
}

/// Reads an answer piece by piece.
package struct RecordReader {
  /// Why an answer is invalid.
  package enum Problem: Error, Equatable {
    /// The answer has a format version that this Spunnel does not know.
    case format(String)
    /// The line with this number does not fit the format.
    case line(Int)
    /// The answer has no end line, or its count of records is wrong.
    case cut
  }

  private static let newline = UInt8(ascii: "\n")
  private static let tab = UInt8(ascii: "\t")
  /// The longest line in bytes; Slurm's records are far shorter.
  private static let longestLine = 16 << 20

  private let kind: String
  private var pending: [UInt8] = []
  private var record = HelperRecord()
  private var lineNumber = 0
  private var count = 0
  private var hasFormat = false
  private var hasEnd = false

  /// Prepares to read an answer.
  ///
  /// - Parameter kind: the expected kind of records, such as `jobs`
  package init(kind: String) { self.kind = kind }

  /// Takes the next bytes, and calls `body` with each complete record.
  package mutating func take(
    _ bytes: [UInt8], _ body: (HelperRecord) -> Void
  ) throws(Problem) {
    record.bytes = []
    pending += bytes
    record.bytes = pending
    var begin = 0
    while let end = RecordReader.index(of: RecordReader.newline, in: record.bytes, from: begin) {
      try takeLine(begin..<end, body)
      begin = end + 1
    }
    record.bytes = []
    pending.removeFirst(begin)
    if pending.count > RecordReader.longestLine { throw .line(lineNumber + 1) }
  }

  /// Checks that the answer is complete.
  package func end() throws(Problem) {
    if !hasEnd || !pending.isEmpty { throw .cut }
  }

  private mutating func takeLine(
    _ line: Range<Int>, _ body: (HelperRecord) -> Void
  ) throws(Problem) {
    lineNumber += 1
    split(line)
    if hasEnd { throw .line(lineNumber) }
    let columnCount = record.columns.count
    switch record.bytes[line].first {
    case UInt8(ascii: "R") where columnCount > 0 && record.bounds.count == columnCount:
      count += 1
      body(record)
    case UInt8(ascii: "F") where lineNumber == 1: try takeFormat()
    case UInt8(ascii: "C") where hasFormat && columnCount == 0:
      record.name(record.bounds.indices.map { record.text(at: $0) })
    case UInt8(ascii: "E") where columnCount > 0 && record.bounds.count == 1:
      if record.number(at: 0) != count { throw .cut }
      hasEnd = true
    default: throw .line(lineNumber)
    }
  }

  private mutating func takeFormat() throws(Problem) {
    let fields = record.bounds.indices.map { record.text(at: $0) }
    guard fields.count == 3, fields[0] == "spunnel-jobs", fields[2] == kind else {
      throw .line(lineNumber)
    }
    if fields[1] != "1" { throw .format(fields[1]) }
    hasFormat = true
  }

  /// Finds the fields after the first one.
  private mutating func split(_ line: Range<Int>) {
    record.bounds.removeAll(keepingCapacity: true)
    guard
      var begin = RecordReader.index(
        of: RecordReader.tab, in: record.bytes, from: line.lowerBound, before: line.upperBound)
    else { return }
    while begin < line.upperBound {
      let end =
        RecordReader.index(
          of: RecordReader.tab, in: record.bytes, from: begin + 1, before: line.upperBound)
        ?? line.upperBound
      record.bounds.append(begin + 1..<end)
      begin = end
    }
  }

  private static func index(
    of byte: UInt8, in bytes: [UInt8], from begin: Int, before end: Int? = nil
  ) -> Int? {
    var at = begin
    let end = end ?? bytes.count
    while at < end {
      if bytes[at] == byte { return at }
      at += 1
    }
    return nil
  }

  /// Turns each `\xHH` back into its byte. A backslash without `xHH` stays.
  static func unescaped(_ value: ArraySlice<UInt8>) -> [UInt8] {
    var (result, rest): ([UInt8], ArraySlice<UInt8>) = ([], value)
    while let byte = rest.popFirst() {
      let digits = rest.dropFirst().prefix(2)
      guard byte == UInt8(ascii: "\\"), rest.first == UInt8(ascii: "x"), digits.count == 2,
        let code = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
      else {
        result.append(byte)
        continue
      }
      result.append(code)
      rest = rest.dropFirst(3)
    }
    return result
  }
}
