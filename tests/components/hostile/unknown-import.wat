;; Built for another host: imports near:agent/host@0.4.1.
;; Outcome: refused
(component
  (import "near:agent/host@0.4.1" (instance $host
    (export "now-millis" (func (result u64)))))
  (core func $now (canon lower (func $host "now-millis")))
  (core module $guest
    (import "host" "now-millis" (func $now (result i64)))
    (func (export "run") (result i64) (call $now)))
  (core instance $guest (instantiate $guest
    (with "host" (instance (export "now-millis" (func $now))))))
  (func (export "run") (result u64) (canon lift (core func $guest "run"))))
