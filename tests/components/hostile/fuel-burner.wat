;; Does honest work without end in sight: `run` counts to 2^62, `burn` to what it is told.
;; Outcome: timeout
(component
  (core module $guest
    (memory (export "memory") 1)
    (data (i32.const 8) "\10\00\00\00\04\00\00\00done")
    (func $burn (export "burn") (param $rounds i64) (result i64)
      (local $sum i64)
      (block $done
        (loop $next
          (br_if $done (i64.eqz (local.get $rounds)))
          (local.set $sum (i64.add (i64.mul (local.get $sum) (i64.const 31)) (local.get $rounds)))
          (local.set $rounds (i64.sub (local.get $rounds) (i64.const 1)))
          (br $next)))
      local.get $sum)
    (func (export "run") (result i32)
      (drop (call $burn (i64.shl (i64.const 1) (i64.const 62))))
      i32.const 8))
  (core instance $guest (instantiate $guest))
  (func (export "burn") (param "rounds" u64) (result u64) (canon lift (core func $guest "burn")))
  (func (export "run") (result string)
    (canon lift (core func $guest "run") (memory (core memory $guest "memory")))))
