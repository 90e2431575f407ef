use super::*;
use crate::dashboard::change::Operation;
use crate::dashboard::testing;

fn form() -> Form {
    let check: Check = |text| {
        text.parse::<i64>()
            .map(|_| ())
            .map_err(|_| "a number".to_owned())
    };
    let entries = vec![
        Entry::line("Name", "", ""),
        Entry::line("Amount", "", "credits").checked(check),
        Entry::one("Mode", &["job_based", "consumption_usd"], 0),
    ];
    let submit: Submit = Box::new(|values, _| {
        let _amount: i64 = values.parse("Amount")?;
        if values.text("Name") == "taken" {
            return Err(Complaint::about("Name", "is taken"));
        }
        Ok(Review {
            facts: Vec::new(),
            change: Change::new(Operation::Verify, values.text("Mode")),
        })
    });
    Form::new("New", entries, submit)
}

fn press(form: &mut Form, keys: &str) -> Vec<Step> {
    let context = testing::context();
    let mut steps = Vec::new();
    for key in keys.split(' ') {
        steps.extend(form.key(key.parse().unwrap(), &context));
    }
    steps
}

#[test]
fn a_field_that_is_wrong_is_named_and_nothing_is_written() {
    let mut form = form();
    assert!(press(&mut form, "a tab x ctrl-s").is_empty());
    assert_eq!(form.place, 1);
    assert_eq!(form.entries[1].error.as_deref(), Some("a number"));
    assert!(
        press(&mut form, "y").is_empty(),
        "this is typed, not confirmed"
    );
    assert!(press(&mut form, "backspace backspace 5 ctrl-s").is_empty());
    assert!(form.review.is_some());
}

#[test]
fn a_review_can_be_left_and_confirmed_once() {
    let mut form = form();
    press(&mut form, "a tab 5 tab right ctrl-s esc");
    assert!(form.review.is_none());
    let steps = press(&mut form, "ctrl-s enter y y");
    let [Step::Change(change)] = steps.as_slice() else {
        panic!("one change: {steps:?}");
    };
    assert_eq!(change.sentence, "consumption_usd");
}

#[test]
fn complaints_go_to_their_fields() {
    let mut form = form();
    press(&mut form, "t a k e n tab 5 ctrl-s");
    assert_eq!(form.place, 0);
    assert_eq!(form.entries[0].error.as_deref(), Some("is taken"));
}

#[test]
fn a_long_form_shows_the_field_with_the_cursor_and_what_is_wrong_with_it() {
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;

    use crate::dashboard::windows::Window as _;

    const LABELS: [&str; 12] = [
        "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
        "twelve",
    ];
    let check: Check =
        |_| Err("this is not what is asked for; write one of these: a, b, c".to_owned());
    let entries = LABELS.map(|label| Entry::line(label, "", "").checked(check));
    let submit: Submit = Box::new(|_, _| Err(Complaint::about("", "no")));
    let mut form = Form::new("Long", entries.into(), submit);
    let context = testing::context();
    let area = Rect::new(0, 0, 60, 12);
    for key in ["tab"; 13].into_iter().chain(["shift-tab"; 14]) {
        let mut buffer = Buffer::empty(area);
        let cursor = form.draw(area, &mut buffer, &context).unwrap();
        assert!(area.contains(cursor), "{cursor:?}");
        let row: String = (0..60).map(|x| buffer[(x, cursor.y)].symbol()).collect();
        assert!(row.contains(LABELS[form.place]), "{row}");
        if form.entries[form.place].error.is_some() {
            let below: String = (0..60)
                .map(|x| buffer[(x, cursor.y + 1)].symbol())
                .collect();
            assert!(below.contains("this is not"), "{below}");
        }
        press(&mut form, key);
    }
}
