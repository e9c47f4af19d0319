;; Calls the host without end: logs the same line for ever through prx:host/log@0.1.0.
;; Outcome: timeout
(component
  (import "prx:host/log@0.1.0" (instance $log
    (type $level-enum (enum "trace" "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $level-enum)))
    (export "log" (func (param "level" $level) (param "message" string)))))
  (core module $memory
    (memory (export "memory") 1))
  (core instance $memory (instantiate $memory))
  (core func $log (canon lower (func $log "log") (memory (core memory $memory "memory"))))
  (core module $guest
    (import "host" "log" (func $log (param i32 i32 i32)))
    (import "memory" "memory" (memory 1))
    (data (i32.const 8) "\10\00\00\00\04\00\00\00pong")
    (func (export "ping") (result i32) i32.const 8)
    (func (export "run") (result i32)
      (loop $again
        (call $log (i32.const 2) (i32.const 16) (i32.const 4))
        (br $again))
      unreachable))
  (core instance $guest (instantiate $guest
    (with "host" (instance (export "log" (func $log))))
    (with "memory" (instance $memory))))
  (func (export "ping") (result string)
    (canon lift (core func $guest "ping") (memory (core memory $memory "memory"))))
  (func (export "run") (result string)
    (canon lift (core func $guest "run") (memory (core memory $memory "memory")))))
