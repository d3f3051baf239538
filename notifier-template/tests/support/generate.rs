//! Random templates: built from pieces that mean something, then sometimes broken.

use fastrand::Rng;

/// Whole templates to mutate.
const SEEDS: &[&str] = &[
    "Task {{ .failure.Name }} ({{ .failure.ID }}) died with status {{ .failure.State }} [<{{ .stdoutURL }}|stdout>]",
    "complainer/{{ .failure.Finished.UTC.Format \"2006-01-02\" }}/{{ .failure.Name }}",
    "{{ range $k, $v := .failure.Labels }}{{ $k }}={{ $v }};{{ else }}none{{ end }}",
    "{{ if eq .failure.State \"TASK_LOST\" }}lost{{ else if gt (len .failure.Name) 3 }}long{{ else }}other{{ end }}",
    "{{ with $x := .failure.Labels }}{{ len $x }}{{ $x.a }}{{ else }}-{{ end }}",
    "{{ define \"T\" }}<{{ . }}>{{ end }}{{ template \"T\" .failure.Name }}{{ block \"B\" .failure }}{{ .State }}{{ end }}",
    "{{ $s := \"\" }}{{ range $k, $_ := .failure.Labels }}{{ $s = printf \"%s%s,\" $s $k }}{{ end }}{{ $s | html }}",
    "  {{- /* c */ -}}  x  {{- \"y\" -}}\n z",
    "{{ printf \"%d %5d|%-5d|%05d %+d %x %o %b %c %U %#x\" 42 42 42 42 42 255 8 5 0x65E5 0x65E5 255 }}",
    "{{ printf \"%6.2f|%g|%e|%08.3f\" 3.14159 1e21 12345.678 -1.5 }}",
    "{{ (.failure.Finished.Sub .failure.Started).Round 60000000000 }}",
    "{{ call .config \"mentions\" }}|{{ config \"room\" | printf \"%5s|\" }}",
    "{{ range $i, $b := .failure.Started.MarshalText }}{{ if gt $i 3 }}{{ break }}{{ end }}{{ $b }} {{ end }}",
    "{{ index .failure.Labels \"team\" | slice 1 3 }}{{ slice \"abcdef\" 1 3 }}",
    "{{ print 1 2 \"x\" 3 nil true 1.5 }}{{ println \"a\" 1 }}",
];

const TERMS: &[&str] = &[
    ".",
    "$",
    "nil",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "42",
    "0x1F",
    "017",
    "0b11",
    "0o7",
    "1_000",
    "1.5",
    "1e3",
    "1e21",
    ".5",
    "0x1p4",
    "1i",
    "1+2i",
    "'a'",
    "'\\n'",
    "'日'",
    "\"\"",
    "\"abc\"",
    "\"a b&c\"",
    "\"\\u00e9\\x41\\t\\\"\"",
    "`raw\\n`",
    "\"é日本\"",
    "\"\\xff\\xfe\"",
    ".failure",
    ".failure.Name",
    ".failure.ID",
    ".failure.Image",
    ".failure.Labels",
    ".failure.Labels.a",
    ".failure.Labels.nope",
    ".failure.Started",
    ".failure.Finished.UTC",
    ".failure.Started.Year",
    ".failure.Started.Month",
    ".failure.Started.Weekday",
    ".failure.Started.Unix",
    ".failure.Started.UnixNano",
    ".failure.Started.Nanosecond",
    ".failure.Finished.Clock",
    ".failure.Finished.YearDay",
    ".failure.Started.Location",
    ".failure.String",
    ".failure.Started.IsZero",
    ".failure.Started.GoString",
    ".failure.Started.MarshalJSON",
    "(.failure.Finished.Sub .failure.Started)",
    "(.failure.Finished.Sub .failure.Started).Seconds",
    "(.failure.Started.AddDate 0 1 -20)",
    "(.failure.Started.Add 1500000000)",
    "(.failure.Started.Truncate 3600000000000)",
    "(.failure.Finished.Format \"Jan _2 15:04:05.000 Monday MST\")",
    "(.failure.Started.AppendFormat nil \"06\")",
    ".config",
    ".nope",
    ".nope.deeper",
    ".nl",
    ".stdoutURL",
    ".stderrURL",
    "$.failure.State",
    "(index \"abc\" 1)",
    "(slice \"日本\" 1)",
    "(len .failure.Name)",
    "(config \"room\")",
    "(print 1 2)",
    "$x",
    "$y",
    ".failure.Nope",
    ".failure.Name.Foo",
    ".Name",
    "(1)",
    "((\"x\"))",
    "(.failure).Name",
    "(.failure.Labels).team",
    "config",
    "(config \"m\").X",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "(printf \"%v\" .)",
    "(index .failure.Labels \"a\")",
    "(index . \"nl\")",
    "(and 1 0)",
    "(or nil \"d\")",
    "(not 1)",
    "(eq 1 1)",
];

const FUNCTIONS: &[&str] = &[
    "and",
    "or",
    "not",
    "len",
    "index",
    "slice",
    "print",
    "printf",
    "println",
    "html",
    "js",
    "urlquery",
    "call",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "config",
    ".failure.Finished.Format",
    ".failure.Finished.Sub",
    ".failure.Started.After",
    ".failure.Started.Equal",
    ".failure.Started.Add",
    ".failure.Started.Round",
    ".failure.Started.In",
];

const VERBS: &[&str] = &[
    "v",
    "+v",
    "#v",
    "T",
    "d",
    "s",
    "q",
    "x",
    "X",
    "o",
    "O",
    "b",
    "c",
    "U",
    "e",
    "E",
    "f",
    "F",
    "g",
    "G",
    "t",
    "p",
    "w",
    "z",
    "%",
    "5d",
    "-5d|",
    "05d",
    "+d",
    " d",
    "x",
    "# x",
    "#X",
    "#o",
    "#b",
    "#q",
    "+q",
    "#U",
    "08.3f",
    "+.2e",
    "#g",
    "6.2f",
    "-8q|",
    ".2s",
    "5.1s",
    ".3d",
    "*d",
    ".*f",
    "[1]v",
    "[2]d",
    "[9]d",
    "[x]d",
    "-*d|",
    "010x",
    "+05d",
    "#v",
    "#.3x",
    "5t",
    "20v",
    "-20v|",
    "020v",
    "8c",
    "q",
    "#+q",
    "5%",
    ".",
    "日",
    "+x",
    " x",
    "#e",
    "#.0f",
    ".0f",
    ".10g",
    "[3]*.[2]*[1]f",
];

pub(crate) struct Generator {
    rng: Rng,
    depth: usize,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            depth: 0,
        }
    }

    fn pick<'t>(&mut self, table: &[&'t str]) -> &'t str {
        table[self.rng.usize(..table.len())]
    }

    /// A template, mostly a good one.
    pub(crate) fn template(&mut self) -> String {
        let mut text = match self.rng.u8(..10) {
            0..2 => self.pick(SEEDS).to_owned(),
            2..4 => self.printf(),
            _ => self.body(3),
        };
        if self.rng.u8(..3) == 0 {
            for _ in 0..self.rng.usize(1..4) {
                text = self.broken(&text);
            }
        }
        text
    }

    fn printf(&mut self) -> String {
        let mut out = "{{ printf \"".to_owned();
        for _ in 0..self.rng.usize(1..4) {
            out.push('%');
            out.push_str(self.pick(VERBS));
            out.push_str(self.pick(&["", " ", "|", "é"]));
        }
        out.push('"');
        for _ in 0..self.rng.usize(0..4) {
            out.push(' ');
            out.push_str(self.pick(TERMS));
        }
        out + " }}"
    }

    fn command(&mut self) -> String {
        let mut out = match self.rng.u8(..10) {
            0..4 => self.pick(TERMS).to_owned(),
            4 if self.depth < 3 => {
                self.depth += 1;
                let inner = format!("({})", self.pipeline());
                self.depth -= 1;
                inner
            }
            _ => self.pick(FUNCTIONS).to_owned(),
        };
        let arguments = self.rng.usize(0..4);
        if !TERMS.contains(&out.as_str()) || self.rng.u8(..8) == 0 {
            for _ in 0..arguments {
                out.push(' ');
                out.push_str(self.pick(TERMS));
            }
        }
        out
    }

    fn pipeline(&mut self) -> String {
        let mut out = self.command();
        while self.rng.u8(..4) == 0 {
            out.push_str(self.pick(&[" | ", "|"]));
            let next = if self.rng.bool() {
                self.pick(FUNCTIONS).to_owned()
            } else {
                self.command()
            };
            out.push_str(&next);
        }
        out
    }

    fn delimited(&mut self, inner: &str) -> String {
        let left = self.pick(&["{{ ", "{{ ", "{{", "{{- "]);
        let right = self.pick(&[" }}", " }}", "}}", " -}}"]);
        format!("{left}{inner}{right}")
    }

    fn body(&mut self, depth: usize) -> String {
        let mut out = String::new();
        for _ in 0..self.rng.usize(1..4) {
            out.push_str(self.pick(&["", " ", "x", "\n", "<b>", " y\n", "日"]));
            let piece = match if depth == 0 { 0 } else { self.rng.u8(..16) } {
                0..7 => {
                    let pipeline = self.pipeline();
                    self.delimited(&pipeline)
                }
                7 => {
                    let (sign, pipeline) = (self.pick(&[":=", ":=", "="]), self.pipeline());
                    self.delimited(&format!("$x {sign} {pipeline}"))
                }
                8 | 9 => self.control("if", depth),
                10 => self.control("with", depth),
                11 | 12 => self.control("range", depth),
                13 => {
                    let (name, pipeline) = (self.pick(&["\"T\"", "\"U\"", "`T`"]), self.pipeline());
                    let with = self.rng.bool();
                    self.delimited(&format!(
                        "template {name} {}",
                        if with { &pipeline } else { "" }
                    ))
                }
                14 => {
                    let pipeline = self.pipeline();
                    format!(
                        "{{{{block \"B\" {pipeline}}}}}{}{{{{end}}}}",
                        self.body(depth - 1)
                    )
                }
                _ if depth == 3 => {
                    let name = self.pick(&["T", "U"]);
                    format!("{{{{define \"{name}\"}}}}{}{{{{end}}}}", self.body(1))
                }
                _ => self.delimited("/* note */"),
            };
            out.push_str(&piece);
        }
        out
    }

    fn control(&mut self, word: &str, depth: usize) -> String {
        let declared = match (word, self.rng.u8(..6)) {
            ("range", 0) => "$x, $y := ",
            ("range", 1) => "$_, $x := ",
            ("range", 2) => "$x = ",
            (_, 3) => "$x := ",
            _ => "",
        };
        let pipeline = match self.rng.u8(..3) {
            0 if word == "range" => ".failure.Labels".to_owned(),
            1 if word == "range" => ".failure.Finished.MarshalText".to_owned(),
            _ => self.pipeline(),
        };
        let mut out = self.delimited(&format!("{word} {declared}{pipeline}"));
        out.push_str(&self.body(depth - 1));
        if word == "range" && self.rng.u8(..4) == 0 {
            let condition = self.pipeline();
            let jump = self.pick(&["break", "continue"]);
            out.push_str(&format!("{{{{if {condition}}}}}{{{{{jump}}}}}{{{{end}}}}"));
        }
        if word == "if" && self.rng.u8(..3) == 0 {
            let condition = self.pipeline();
            out.push_str(&self.delimited(&format!("else if {condition}")));
            out.push_str(&self.body(depth - 1));
        }
        if self.rng.bool() {
            out.push_str(&self.delimited("else"));
            out.push_str(&self.body(depth - 1));
        }
        out.push_str(&self.delimited("end"));
        out
    }

    /// The text with a piece lost, doubled, moved or put in.
    fn broken(&mut self, text: &str) -> String {
        let at = |rng: &mut Rng| {
            let mut at = rng.usize(..=text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (a, b) = (at(&mut self.rng), at(&mut self.rng));
        let (a, b) = (a.min(b), a.max(b));
        let piece = self.pick(&[
            "{{",
            "}}",
            "{{-",
            "-}}",
            "(",
            ")",
            "|",
            ".",
            "$",
            "$x",
            "\"",
            "'",
            "`",
            ":=",
            "=",
            ",",
            " ",
            "\n",
            "/*",
            "*/",
            "end",
            "else",
            "if ",
            "range ",
            "nil",
            "%",
            "1",
            "-",
            "é",
            "\\",
            "{{end}}",
            "{{else}}",
            "{{break}}",
            ".x",
            "with ",
            "define ",
            "template ",
            "block ",
            "break",
            "_",
        ]);
        match self.rng.u8(..4) {
            0 if b - a < 12 => format!("{}{}", &text[..a], &text[b..]),
            1 if b - a < 30 => format!("{}{}{}", &text[..b], &text[a..b], &text[b..]),
            _ => format!("{}{piece}{}", &text[..a], &text[a..]),
        }
    }
}
