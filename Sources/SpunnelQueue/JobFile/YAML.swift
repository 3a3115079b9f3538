// Reads a small YAML text: a mapping of scalars and of lists of scalars, which is all that a job
// file needs. Each value keeps its place in the text.

import CYaml

/// Why a text is not a job file, and where.
package struct YAMLError: Error, Equatable, Sendable {
  package let message: String
  /// The line, from 1; 0 if the error has no place.
  package let line: Int
  /// The column, from 1; 0 if the error has no place.
  package let column: Int

  package init(_ message: String, line: Int = 0, column: Int = 0) {
    self.message = message
    self.line = line
    self.column = column
  }
}

/// A value of a mapping, and where it begins.
package struct YAMLValue: Equatable, Sendable {
  /// A scalar, or a list of scalars.
  package enum Content: Equatable, Sendable {
    case scalar(String, isQuoted: Bool)
    case list([String])
  }

  package let content: Content
  package let line: Int
  package let column: Int

  /// The kind of the value, in words: `a list`.
  package var kind: String {
    switch content {
    case .scalar: "'\(texts.first ?? "")'"
    case .list: "a list"
    }
  }

  /// The scalar, or the elements of the list.
  package var texts: [String] {
    switch content {
    case .scalar(let text, _): [text]
    case .list(let texts): texts
    }
  }
}

/// A mapping, in the order of the text.
package struct YAMLMapping: Equatable, Sendable {
  /// A key and its value. The place is that of the key.
  package struct Pair: Equatable, Sendable {
    package let key: String
    package let line: Int
    package let column: Int
    package let value: YAMLValue
  }

  package internal(set) var pairs: [Pair] = []

  package init() {}

  /// The longest text, in bytes.
  package static let longestText = 4 << 20
  /// The most values in a text.
  fileprivate static let mostValues = 10_000

  /// - Parameter text: UTF-8 text; an empty text is an empty mapping
  package init(_ text: [UInt8]) throws(YAMLError) {
    if text.count > YAMLMapping.longestText {
      throw YAMLError("it is larger than \(YAMLMapping.longestText >> 20) MiB")
    }
    let builder = Builder()
    var problem = cyaml_problem()
    let result = unsafe text.withUnsafeBytes { bytes in
      unsafe cyaml_read(
        bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count,
        { context, event in
          guard let context = unsafe context, let event = unsafe event else { return 1 }
          let builder = unsafe Unmanaged<Builder>.fromOpaque(context).takeUnretainedValue()
          return builder.take(unsafe Event(event.pointee)) ? 0 : 1
        }, Unmanaged.passUnretained(builder).toOpaque(), &problem)
    }
    if let error = builder.error { throw error }
    if result != 0 {
      let message = unsafe withUnsafeBytes(of: &problem.text) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      throw YAMLError(message, line: Int(problem.line), column: Int(problem.column))
    }
    pairs = builder.pairs
  }

  /// Replaces the pairs that have a key of another mapping.
  package mutating func replace(with other: YAMLMapping) {
    let keys = Set(other.pairs.map(\.key))
    pairs.removeAll { keys.contains($0.key) }
    pairs += other.pairs
  }
}

/// An event of libyaml.
private struct Event {
  let kind: cyaml_kind
  let text: String
  let isQuoted: Bool
  let line: Int
  let column: Int

  init(_ event: cyaml_event) {
    unsafe kind = event.kind
    unsafe isQuoted = event.is_quoted != 0
    unsafe line = Int(event.line)
    unsafe column = Int(event.column)
    if let start = unsafe event.text {
      let bytes = unsafe UnsafeRawBufferPointer(start: start, count: event.length)
      text = unsafe String(decoding: bytes, as: UTF8.self)
    } else {
      text = ""
    }
  }
}

/// Builds a mapping from events, and refuses everything else.
private final class Builder {
  private enum Place { case outside, keys, value, list, done }

  private(set) var pairs: [YAMLMapping.Pair] = []
  private(set) var error: YAMLError?
  private var place = Place.outside
  private var documents = 0
  private var key: (text: String, line: Int, column: Int)?
  private var list: [String] = []
  private var listPlace = (line: 0, column: 0)
  private var count = 0

  /// - Returns: whether to go on
  func take(_ event: Event) -> Bool {
    count += 1
    let (line, column) = (event.line, event.column)
    if count > YAMLMapping.mostValues { return refuse("it has too many values", line, column) }
    switch (event.kind, place) {
    case (CYAML_DOCUMENT, _):
      documents += 1
      return documents == 1 || refuse("it has a second document", line, column)
    case (CYAML_MAPPING_START, .outside): place = .keys
    case (CYAML_MAPPING_END, .keys): place = .done
    case (CYAML_SCALAR, .outside) where event.text.isEmpty: place = .done
    case (CYAML_SCALAR, .keys): return takeKey(event.text, line, column)
    case (CYAML_SCALAR, .value):
      add(.scalar(event.text, isQuoted: event.isQuoted), line, column)
      place = .keys
    case (CYAML_SEQUENCE_START, .value): (list, listPlace, place) = ([], (line, column), .list)
    case (CYAML_SCALAR, .list): list.append(event.text)
    case (CYAML_SEQUENCE_END, .list):
      add(.list(list), listPlace.line, listPlace.column)
      place = .keys
    case (CYAML_ALIAS, _): return refuse("it refers to an anchor", line, column)
    default: return refuse(words(for: place), line, column)
    }
    return true
  }

  private func words(for place: Place) -> String {
    switch place {
    case .outside, .done: "it is no mapping: write KEY: VALUE"
    case .keys: "a key is a word"
    case .value: "the value of '\(key?.text ?? "")' is a mapping: write a word or a list"
    case .list: "a list has words alone"
    }
  }

  private func takeKey(_ text: String, _ line: Int, _ column: Int) -> Bool {
    if pairs.contains(where: { $0.key == text }) {
      return refuse("'\(text)' is listed twice", line, column)
    }
    key = (text, line, column)
    place = .value
    return true
  }

  private func add(_ content: YAMLValue.Content, _ line: Int, _ column: Int) {
    guard let key else { return }
    pairs.append(
      YAMLMapping.Pair(
        key: key.text, line: key.line, column: key.column,
        value: YAMLValue(content: content, line: line, column: column)))
  }

  private func refuse(_ message: String, _ line: Int, _ column: Int) -> Bool {
    error = YAMLError(message, line: line, column: column)
    return false
  }
}
