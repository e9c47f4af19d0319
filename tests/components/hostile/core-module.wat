;; A core module, which is WebAssembly but not a component.
;; Outcome: refused
(module
  (memory (export "memory") 1)
  (func (export "run") (result i32) i32.const 8))
