// The component's exports by the canonical ABI, without a C library: texts come in memory that `cabi_realloc`
// handed out, results go out through static memory, and everything is free again once the host has read it.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name("samples:check-digits/check-digits@1.0.0#" name)))
#define AFTER(name) __attribute__((export_name("cabi_post_samples:check-digits/check-digits@1.0.0#" name)))

enum { PAGE = 65536, MAX_LUHN = 64, MAX_IBAN = 34, MIN_IBAN = 15 };

typedef struct {
  const char *at;
  size_t length;
} text;

#define TEXT(literal) ((text){literal, sizeof(literal) - 1})

// --- memory

extern uint8_t __heap_base;
static uintptr_t heap_end;

// Memory is only ever handed out at the end: a call needs a few texts and frees them all together.
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align,
                                                                 size_t size) {
  uintptr_t start = heap_end ? heap_end : (uintptr_t)&__heap_base;
  start = (start + align - 1) & ~(uintptr_t)(align - 1);
  uintptr_t end = start + size;
  size_t available = __builtin_wasm_memory_size(0) * PAGE;
  if (end < start) __builtin_trap();
  if (end > available && __builtin_wasm_memory_grow(0, (end - available + PAGE - 1) / PAGE) == (size_t)-1) {
    __builtin_trap();
  }
  for (size_t i = 0; i < old_size && i < size; i++) ((uint8_t *)start)[i] = ((uint8_t *)old)[i];
  heap_end = end;
  return (void *)start;
}

static void free_all(void) { heap_end = 0; }

// --- characters

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return c >= 'A' && c <= 'Z'; }
static char upper(char c) { return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c; }

// Copy `source` in upper case without spaces and hyphens. Returns the length, or -1 if it exceeds `capacity`.
static int32_t compact(text source, char *target, int32_t capacity) {
  int32_t length = 0;
  for (size_t i = 0; i < source.length; i++) {
    if (source.at[i] == ' ' || source.at[i] == '-') continue;
    if (length == capacity) return -1;
    target[length++] = upper(source.at[i]);
  }
  return length;
}

static bool all(bool (*fits)(char), const char *at, int32_t length) {
  for (int32_t i = 0; i < length; i++) {
    if (!fits(at[i])) return false;
  }
  return true;
}

// --- Luhn

typedef struct {
  bool is_error;
  union {
    uint8_t value;
    text error;
  };
} byte_or_error;

static char luhn_number[MAX_LUHN];

// The sum of all digits, every second one doubled; `doubled` tells whether the last one is.
static uint32_t luhn_sum(int32_t length, bool doubled) {
  uint32_t sum = 0;
  for (int32_t i = length - 1; i >= 0; i--, doubled = !doubled) {
    uint32_t digit = (uint32_t)(luhn_number[i] - '0') << doubled;
    sum += digit > 9 ? digit - 9 : digit;
  }
  return sum;
}

EXPORT("check-luhn") byte_or_error *check_luhn(const char *at, size_t size) {
  static byte_or_error result;
  int32_t length = compact((text){at, size}, luhn_number, MAX_LUHN);
  result.is_error = length < 2 || !all(is_digit, luhn_number, length);
  if (result.is_error) {
    result.error = TEXT("not a number of 2 to 64 digits");
  } else {
    result.value = luhn_sum(length, false) % 10 == 0;
  }
  return &result;
}

EXPORT("luhn-digit") byte_or_error *luhn_digit(const char *at, size_t size) {
  static byte_or_error result;
  int32_t length = compact((text){at, size}, luhn_number, MAX_LUHN - 1);
  result.is_error = length < 1 || !all(is_digit, luhn_number, length);
  if (result.is_error) {
    result.error = TEXT("not a number of 1 to 63 digits");
  } else {
    result.value = (uint8_t)((10 - luhn_sum(length, true) % 10) % 10);
  }
  return &result;
}

// --- IBAN

typedef struct {
  text country, check_digits, account;
  bool valid;
} iban;

typedef struct {
  bool is_error;
  union {
    iban value;
    text error;
  };
} iban_or_error;

static const struct {
  char country[2];
  uint8_t length;
} IBAN_LENGTHS[] = {
    {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16}, {"BG", 22}, {"BH", 22},
    {"BI", 27}, {"BR", 29}, {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24}, {"DE", 22}, {"DJ", 27},
    {"DK", 18}, {"DO", 28}, {"EE", 20}, {"EG", 29}, {"ES", 24}, {"FI", 18}, {"FK", 18}, {"FO", 18}, {"FR", 27},
    {"GB", 22}, {"GE", 22}, {"GI", 23}, {"GL", 18}, {"GR", 27}, {"GT", 28}, {"HN", 28}, {"HR", 21}, {"HU", 28},
    {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26}, {"IT", 27}, {"JO", 30}, {"KW", 30}, {"KZ", 20}, {"LB", 28},
    {"LC", 32}, {"LI", 21}, {"LT", 20}, {"LU", 20}, {"LV", 21}, {"LY", 25}, {"MC", 27}, {"MD", 24}, {"ME", 22},
    {"MK", 19}, {"MN", 20}, {"MR", 27}, {"MT", 31}, {"MU", 30}, {"NI", 28}, {"NL", 18}, {"NO", 15}, {"OM", 23},
    {"PK", 24}, {"PL", 28}, {"PS", 29}, {"PT", 25}, {"QA", 29}, {"RO", 24}, {"RS", 22}, {"RU", 33}, {"SA", 24},
    {"SC", 31}, {"SD", 18}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27}, {"SO", 23}, {"ST", 25}, {"SV", 28},
    {"TL", 23}, {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20}, {"YE", 30},
};

// The length that the country prescribes, 0 for a country without IBANs.
static int32_t iban_length(const char *country) {
  for (size_t i = 0; i < sizeof IBAN_LENGTHS / sizeof *IBAN_LENGTHS; i++) {
    const char *known = IBAN_LENGTHS[i].country;
    if (known[0] == country[0] && known[1] == country[1]) return IBAN_LENGTHS[i].length;
  }
  return 0;
}

static bool is_letter_or_digit(char c) { return is_letter(c) || is_digit(c); }

static bool iban_is_valid(const char *number, int32_t length) {
  uint32_t remainder = 0;
  for (int32_t i = 0; i < length; i++) {
    // Country and check digits count last; a letter stands for the two digits of 10 to 35.
    char c = number[(i + 4) % length];
    remainder = (is_digit(c) ? remainder * 10 + (uint32_t)(c - '0') : remainder * 100 + (uint32_t)(c - 'A' + 10)) % 97;
  }
  return remainder == 1;
}

static text wrong_iban_length(const char *country, int32_t expected, int32_t length) {
  static char message[] = "an IBAN of CC has NN characters, this one has NN";
  message[11] = country[0];
  message[12] = country[1];
  message[18] = (char)('0' + expected / 10);
  message[19] = (char)('0' + expected % 10);
  message[46] = (char)('0' + length / 10);
  message[47] = (char)('0' + length % 10);
  return TEXT(message);
}

EXPORT("check-iban") iban_or_error *check_iban(const char *at, size_t size) {
  static iban_or_error result;
  static char number[MAX_IBAN];
  int32_t length = compact((text){at, size}, number, MAX_IBAN);
  result.is_error = true;
  if (length < MIN_IBAN || !all(is_letter, number, 2) || !all(is_digit, number + 2, 2) ||
      !all(is_letter_or_digit, number, length)) {
    result.error = TEXT("not an IBAN: two letters, two digits and 11 to 30 letters or digits are expected");
    return &result;
  }
  int32_t expected = iban_length(number);
  if (expected == 0) {
    result.error = TEXT("the first two letters are no country that has IBANs");
    return &result;
  }
  if (expected != length) {
    result.error = wrong_iban_length(number, expected, length);
    return &result;
  }
  result.is_error = false;
  result.value = (iban){.country = {number, 2},
                        .check_digits = {number + 2, 2},
                        .account = {number + 4, (size_t)length - 4},
                        .valid = iban_is_valid(number, length)};
  return &result;
}

// --- ISBN

typedef struct {
  enum __attribute__((packed)) { ISBN10, ISBN13, WRONG_CHECK_DIGIT } kind;
  text digits;
} isbn;

typedef struct {
  bool is_error;
  union {
    isbn value;
    text error;
  };
} isbn_or_error;

static char isbn10_digit(const char *digits) {
  uint32_t sum = 0;
  for (uint32_t i = 0; i < 9; i++) sum += (10 - i) * (uint32_t)(digits[i] - '0');
  return "0123456789X"[(11 - sum % 11) % 11];
}

static char isbn13_digit(const char *digits) {
  uint32_t sum = 0;
  for (uint32_t i = 0; i < 12; i++) sum += (i % 2 ? 3 : 1) * (uint32_t)(digits[i] - '0');
  return (char)('0' + (10 - sum % 10) % 10);
}

static isbn wrong_isbn_digit(char right) {
  static char digit;
  digit = right;
  return (isbn){WRONG_CHECK_DIGIT, {&digit, 1}};
}

EXPORT("check-isbn") isbn_or_error *check_isbn(const char *at, size_t size) {
  static isbn_or_error result;
  // Room for 978 before an ISBN of ten digits.
  static char number[16] = "978";
  char *digits = number + 3;
  int32_t length = compact((text){at, size}, digits, 13);
  result.is_error = false;
  if (length == 10 && all(is_digit, digits, 9) && (is_digit(digits[9]) || digits[9] == 'X')) {
    char right = isbn10_digit(digits);
    if (digits[9] == right) {
      number[12] = isbn13_digit(number);
      result.value = (isbn){ISBN10, {number, 13}};
    } else {
      result.value = wrong_isbn_digit(right);
    }
  } else if (length == 13 && all(is_digit, digits, 13) && digits[0] == '9' && digits[1] == '7' && digits[2] >= '8') {
    char right = isbn13_digit(digits);
    result.value = digits[12] == right ? (isbn){ISBN13, {digits, 13}} : wrong_isbn_digit(right);
  } else {
    result.is_error = true;
    result.error = TEXT("not an ISBN: ten digits (the last may be X), or thirteen that begin with 978 or 979, are expected");
  }
  return &result;
}

AFTER("check-luhn") void after_check_luhn(void *result) { (void)result, free_all(); }
AFTER("luhn-digit") void after_luhn_digit(void *result) { (void)result, free_all(); }
AFTER("check-iban") void after_check_iban(void *result) { (void)result, free_all(); }
AFTER("check-isbn") void after_check_isbn(void *result) { (void)result, free_all(); }
