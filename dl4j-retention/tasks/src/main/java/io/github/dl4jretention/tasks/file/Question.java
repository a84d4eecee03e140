package io.github.dl4jretention.tasks.file;

import java.util.List;

/**
 * One question of a task.
 *
 * @param id      of the file, or its number from 1
 * @param place   file and line where it is
 * @param subject what it's about, for the prompt; may be empty
 * @param text    the question, the text to continue, or the text to measure
 * @param choices answers to choose from; empty for other kinds
 * @param gold    which choice is right, from 0; -1 for other kinds
 * @param answers right answers, the first as few-shot examples show it; for code its tests and the name of the
 *     function; for win rates the other side's output
 */
public record Question(
        String id, String place, String subject, String text, List<String> choices, int gold, List<String> answers) {

    /** {@return a right answer as it's shown: of a choice its text} */
    public String answer() {
        return gold >= 0 ? choices.get(gold) : answers.isEmpty() ? "" : answers.get(0);
    }
}
