;; Writes lines to stdout for ever: a host that does not drain them blocks, one that keeps them runs out of memory.
;; Outcome: timeout
(component
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $error))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $error (type $outer-error))
    (export "error" (type $error (eq $outer-error)))
    (export "output-stream" (type $output-stream (sub resource)))
    (type $stream-error-variant
      (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error-variant)))
    (export "[method]output-stream.blocking-write-and-flush" (func
      (param "self" (borrow $output-stream)) (param "contents" (list u8))
      (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output-stream))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $output-stream (type $outer-output-stream))
    (export "output-stream" (type $output-stream (eq $outer-output-stream)))
    (export "get-stdout" (func (result (own $output-stream))))))
  (core module $memory
    (memory (export "memory") 1))
  (core instance $memory (instantiate $memory))
  (core func $get-stdout (canon lower (func $stdout "get-stdout")))
  (core func $write
    (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
      (memory (core memory $memory "memory"))))
  (core module $guest
    (import "host" "get-stdout" (func $get-stdout (result i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (import "memory" "memory" (memory 1))
    (data (i32.const 8) "\10\00\00\00\04\00\00\00pong")
    (data (i32.const 64) "the quick brown fox jumps over the lazy dog, again and again...\n")
    (func (export "ping") (result i32) i32.const 8)
    (func (export "run") (result i32)
      (local $stdout i32)
      (local.set $stdout (call $get-stdout))
      (loop $again
        (call $write (local.get $stdout) (i32.const 64) (i32.const 64) (i32.const 256))
        (br $again))
      unreachable))
  (core instance $guest (instantiate $guest
    (with "host" (instance
      (export "get-stdout" (func $get-stdout))
      (export "write" (func $write))))
    (with "memory" (instance $memory))))
  (func (export "ping") (result string)
    (canon lift (core func $guest "ping") (memory (core memory $memory "memory"))))
  (func (export "run") (result string)
    (canon lift (core func $guest "run") (memory (core memory $memory "memory")))))
