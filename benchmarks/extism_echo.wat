;; The plugin that Extism calls: an echo as its plugin kits make one, which copies the input into a block of its own.
(module
  (import "extism:host/env" "input_length" (func $input_length (result i64)))
  (import "extism:host/env" "input_load_u8" (func $input_load_u8 (param i64) (result i32)))
  (import "extism:host/env" "input_load_u64" (func $input_load_u64 (param i64) (result i64)))
  (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
  (import "extism:host/env" "store_u8" (func $store_u8 (param i64 i32)))
  (import "extism:host/env" "store_u64" (func $store_u64 (param i64 i64)))
  (import "extism:host/env" "output_set" (func $output_set (param i64 i64)))
  (memory (export "memory") 1)
  (func (export "echo") (result i32)
    (local $length i64) (local $at i64) (local $copy i64)
    (local.set $length (call $input_length))
    (local.set $copy (call $alloc (local.get $length)))
    (block $no-word-left
      (loop $words
        (br_if $no-word-left (i64.gt_u (i64.add (local.get $at) (i64.const 8)) (local.get $length)))
        (call $store_u64 (i64.add (local.get $copy) (local.get $at)) (call $input_load_u64 (local.get $at)))
        (local.set $at (i64.add (local.get $at) (i64.const 8)))
        (br $words)))
    (block $no-byte-left
      (loop $bytes
        (br_if $no-byte-left (i64.ge_u (local.get $at) (local.get $length)))
        (call $store_u8 (i64.add (local.get $copy) (local.get $at)) (call $input_load_u8 (local.get $at)))
        (local.set $at (i64.add (local.get $at) (i64.const 1)))
        (br $bytes)))
    (call $output_set (local.get $copy) (local.get $length))
    i32.const 0))
