//! The methods of the types that Go's `time` package has.

use crate::context::Context;
use crate::function::Param;
use crate::time::{Duration, Time, Zone};
use crate::value::Value;

type Body = fn(&Value, &[Value], &Context) -> Result<Value, String>;

/// A method; without a body it gives several results, which no template can take.
pub(super) struct Method {
    name: &'static str,
    pub(super) params: &'static [Param],
    pub(super) results: usize,
    pub(super) body: Option<Body>,
}

const fn method(name: &'static str, params: &'static [Param], body: Body) -> Method {
    Method {
        name,
        params,
        results: 1,
        body: Some(body),
    }
}

const fn several(name: &'static str, results: usize) -> Method {
    Method {
        name,
        params: &[],
        results,
        body: None,
    }
}

pub(super) fn find(value: &Value, name: &str) -> Option<&'static Method> {
    let table = match value {
        Value::Time(_) => TIME,
        Value::Duration(_) => DURATION,
        Value::Month(_) | Value::Weekday(_) | Value::Location(_) => STRING_ONLY,
        _ => return None,
    };
    table.iter().find(|method| method.name == name)
}

fn time(value: &Value) -> Result<&Time, String> {
    match value {
        Value::Time(time) => Ok(time),
        other => Err(format!("{} is no time", other.type_name())),
    }
}

fn duration(value: &Value) -> Result<Duration, String> {
    match value {
        Value::Duration(duration) => Ok(*duration),
        other => Err(format!("{} is no duration", other.type_name())),
    }
}

fn int(value: &Value) -> Result<i64, String> {
    match value {
        Value::Int(number) => Ok(*number),
        other => Err(format!("{} is no int", other.type_name())),
    }
}

fn bytes(bytes: Vec<u8>) -> Value {
    Value::Bytes(bytes.into())
}

const DURATION_PARAM: &[Param] = &[Param::Duration];
const TIME_PARAM: &[Param] = &[Param::Time];

static TIME: &[Method] = &[
    method("Add", DURATION_PARAM, |t, a, _| {
        Ok(time(t)?.add(duration(&a[0])?).into())
    }),
    method(
        "AddDate",
        &[Param::Int, Param::Int, Param::Int],
        |t, a, _| {
            Ok(time(t)?
                .add_date(int(&a[0])?, int(&a[1])?, int(&a[2])?)
                .into())
        },
    ),
    method("After", TIME_PARAM, |t, a, _| {
        Ok(time(t)?.is_after(time(&a[0])?).into())
    }),
    method("AppendFormat", &[Param::Bytes, Param::String], |t, a, _| {
        let mut out = match &a[0] {
            Value::Bytes(bytes) => bytes.to_vec(),
            _ => Vec::new(),
        };
        out.extend(time(t)?.format_bytes(a[1].as_string_bytes().unwrap_or_default()));
        Ok(bytes(out))
    }),
    method("Before", TIME_PARAM, |t, a, _| {
        Ok(time(&a[0])?.is_after(time(t)?).into())
    }),
    several("Clock", 3),
    several("Date", 3),
    method("Day", &[], |t, _, _| Ok(time(t)?.day().into())),
    method("Equal", TIME_PARAM, |t, a, _| {
        Ok(time(t)?.is_same_moment(time(&a[0])?).into())
    }),
    method("Format", &[Param::String], |t, a, _| {
        Ok(Value::from_bytes(
            time(t)?.format_bytes(a[0].as_string_bytes().unwrap_or_default()),
        ))
    }),
    method("GoString", &[], |t, _, _| Ok(time(t)?.go_string().into())),
    method("GobEncode", &[], |t, _, _| {
        Ok(bytes(time(t)?.marshal_binary()?))
    }),
    method("Hour", &[], |t, _, _| Ok(time(t)?.clock().0.into())),
    several("ISOWeek", 2),
    method("In", &[Param::Location], |t, a, _| match &a[0] {
        Value::Location(zone) => Ok(time(t)?.clone().in_zone(zone.clone()).into()),
        _ => Err("time: missing Location in call to Time.In".to_owned()),
    }),
    method("IsDST", &[], |t, _, _| Ok(time(t)?.is_summer_time().into())),
    method("IsZero", &[], |t, _, _| Ok(time(t)?.is_zero().into())),
    method("Local", &[], |t, _, context| {
        Ok(time(t)?
            .clone()
            .in_zone(Zone::Local(context.local.clone()))
            .into())
    }),
    method("Location", &[], |t, _, _| {
        Ok(Value::Location(time(t)?.zone().clone()))
    }),
    method("MarshalBinary", &[], |t, _, _| {
        Ok(bytes(time(t)?.marshal_binary()?))
    }),
    method("MarshalJSON", &[], |t, _, _| {
        let text = time(t)?.rfc3339("MarshalJSON")?;
        Ok(bytes([b"\"", &*text, b"\""].concat()))
    }),
    method("MarshalText", &[], |t, _, _| {
        Ok(bytes(time(t)?.rfc3339("MarshalText")?))
    }),
    method("Minute", &[], |t, _, _| Ok(time(t)?.clock().1.into())),
    method("Month", &[], |t, _, _| Ok(Value::Month(time(t)?.month()))),
    method("Nanosecond", &[], |t, _, _| {
        Ok(Value::Int(time(t)?.nanosecond().into()))
    }),
    method("Round", DURATION_PARAM, |t, a, _| {
        Ok(time(t)?.round(duration(&a[0])?).into())
    }),
    method("Second", &[], |t, _, _| Ok(time(t)?.clock().2.into())),
    method("String", &[], |t, _, _| Ok(time(t)?.to_string().into())),
    method("Sub", TIME_PARAM, |t, a, _| {
        Ok(time(t)?.since(time(&a[0])?).into())
    }),
    method("Truncate", DURATION_PARAM, |t, a, _| {
        Ok(time(t)?.truncate(duration(&a[0])?).into())
    }),
    method("UTC", &[], |t, _, _| {
        Ok(time(t)?.clone().in_zone(Zone::Utc).into())
    }),
    method("Unix", &[], |t, _, _| Ok(Value::Int64(time(t)?.unix()))),
    method("UnixMicro", &[], |t, _, _| {
        Ok(Value::Int64(time(t)?.unix_micro()))
    }),
    method("UnixMilli", &[], |t, _, _| {
        Ok(Value::Int64(time(t)?.unix_milli()))
    }),
    method("UnixNano", &[], |t, _, _| {
        Ok(Value::Int64(time(t)?.unix_nano()))
    }),
    method("Weekday", &[], |t, _, _| {
        Ok(Value::Weekday(time(t)?.weekday()))
    }),
    method("Year", &[], |t, _, _| Ok(time(t)?.year().into())),
    method("YearDay", &[], |t, _, _| Ok(time(t)?.year_day().into())),
    several("Zone", 2),
    several("ZoneBounds", 2),
];

static DURATION: &[Method] = &[
    method("Abs", &[], |d, _, _| Ok(duration(d)?.abs().into())),
    method("Hours", &[], |d, _, _| {
        Ok(duration(d)?.in_units_of(3_600_000_000_000).into())
    }),
    method("Microseconds", &[], |d, _, _| {
        Ok(Value::Int64(duration(d)?.as_nanos() / 1_000))
    }),
    method("Milliseconds", &[], |d, _, _| {
        Ok(Value::Int64(duration(d)?.as_nanos() / 1_000_000))
    }),
    method("Minutes", &[], |d, _, _| {
        Ok(duration(d)?.in_units_of(60_000_000_000).into())
    }),
    method("Nanoseconds", &[], |d, _, _| {
        Ok(Value::Int64(duration(d)?.as_nanos()))
    }),
    method("Round", DURATION_PARAM, |d, a, _| {
        Ok(duration(d)?.round(duration(&a[0])?).into())
    }),
    method("Seconds", &[], |d, _, _| Ok(duration(d)?.seconds().into())),
    method("String", &[], |d, _, _| Ok(duration(d)?.to_string().into())),
    method("Truncate", DURATION_PARAM, |d, a, _| {
        Ok(duration(d)?.truncate(duration(&a[0])?).into())
    }),
];

static STRING_ONLY: &[Method] = &[method("String", &[], |value, _, _| match value {
    Value::Month(month) => Ok(month.to_string().into()),
    Value::Weekday(day) => Ok(day.to_string().into()),
    Value::Location(zone) => Ok(zone.name().into()),
    other => Err(format!("{} has no text", other.type_name())),
})];
