//! Sends notifications, signed as SNS signs them.
