package io.github.dl4jretention.samples.lesson;

/**
 * What a model is finetuned on: a prompt, and how it is to go on.
 *
 * @param asked  the question or instruction
 * @param prompt with what comes around it
 * @param worked what follows after a space, to its end
 * @param answer what of it is asked for
 */
public record Problem(String asked, String prompt, String worked, String answer) {

    /** A problem as the tasks ask it, whose answer is worked out and ends in {@code ####} and a number. */
    static Problem worked(String question, String steps, int result) {
        return new Problem(question, Asked.prompt(question), steps + "\n#### " + result, steps + "\n#### " + result);
    }

    /** {@return prompt and what follows, as one text} */
    public String text() {
        return prompt + " " + worked;
    }
}
