package assembly

// A part of a template is what package encoding/json makes of it. What is here reads it as what it should be; of another kind it
// is empty, so that one can ask on.

// Object is a part that is an object.
func Object(part any) map[string]any { o, _ := part.(map[string]any); return o }

// List is a part that is a list.
func List(part any) []any { l, _ := part.([]any); return l }

// Text is a part that is a string.
func Text(part any) string { t, _ := part.(string); return t }

// OneOrMore is a part that AWS takes as a list or, of one element, without it: the actions of an IAM statement are one.
func OneOrMore(part any) []any {
	switch v := part.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

// Texts are the strings of a part that is one or more of them.
func Texts(part any) (all []string) {
	for _, one := range OneOrMore(part) {
		if text, ok := one.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

// At is the part at the end of a path, of names of objects and places of lists, or nil.
func At(part any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			part = Object(part)[step]
		case int:
			list := List(part)
			if step < 0 || step >= len(list) {
				return nil
			}
			part = list[step]
		default:
			return nil
		}
	}
	return part
}

// Reference is the logical id that a Ref or an Fn::GetAtt names, and the attribute of the latter, or nothing.
func Reference(part any) (id, attribute string) {
	object := Object(part)
	if len(object) != 1 {
		return "", ""
	}
	if to := List(object["Fn::GetAtt"]); len(to) == 2 {
		return Text(to[0]), Text(to[1])
	}
	return Text(object["Ref"]), ""
}

// Referred is the logical id that a Ref or an Fn::GetAtt names, or nothing.
func Referred(part any) string {
	id, _ := Reference(part)
	return id
}
