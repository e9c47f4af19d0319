;; Returns the text it is given, through memory that it allocates and grows as real guests do.
;; Outcome: runs
(component
  (core module $guest
    (memory (export "memory") 1)
    (global $heap-end (mut i32) (i32.const 16))
    (func (export "realloc")
      (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32) (local $missing-pages i32)
      (local.set $at
        (i32.and
          (i32.add (global.get $heap-end) (i32.sub (local.get $align) (i32.const 1)))
          (i32.sub (i32.const 0) (local.get $align))))
      (global.set $heap-end (i32.add (local.get $at) (local.get $size)))
      (if (i32.lt_u (global.get $heap-end) (local.get $at)) (then unreachable))
      (local.set $missing-pages
        (i32.sub
          (i32.add (i32.shr_u (global.get $heap-end) (i32.const 16)) (i32.const 1))
          (memory.size)))
      (if (i32.gt_s (local.get $missing-pages) (i32.const 0))
        (then
          (if (i32.eq (memory.grow (local.get $missing-pages)) (i32.const -1)) (then unreachable))))
      (memory.copy (local.get $at) (local.get $old) (local.get $old-size))
      local.get $at)
    (func (export "echo") (param $text i32) (param $length i32) (result i32)
      (i32.store (i32.const 8) (local.get $text))
      (i32.store (i32.const 12) (local.get $length))
      i32.const 8)
    ;; Everything that was allocated belonged to the call that has ended.
    (func (export "free-all") (param i32) (global.set $heap-end (i32.const 16))))
  (core instance $guest (instantiate $guest))
  (func (export "echo") (param "text" string) (result string)
    (canon lift (core func $guest "echo")
      (memory (core memory $guest "memory")) (realloc (core func $guest "realloc")) (post-return (core func $guest "free-all")))))
