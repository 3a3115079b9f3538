// What was said when ssh failed, and what is to be made of it.

import Testing

@testable import SpunnelTunnel

struct DiagnosisCase: Sendable, CustomTestStringConvertible {
  let name: String
  let lines: [String]
  let said: String
  /// Part of it.
  let advice: String
  let retry: SSHDiagnosis.Retry
  var isGone = false
  var testDescription: String { name }
}
