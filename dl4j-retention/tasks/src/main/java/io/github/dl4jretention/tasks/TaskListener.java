package io.github.dl4jretention.tasks;

/** Is told how a suite gets on. */
@FunctionalInterface
public interface TaskListener {

    /**
     * Called when a task begins, with what an earlier run has answered, and after each batch of answers.
     *
     * @param task      name of the task
     * @param answered  questions that are answered
     * @param questions of the task
     * @param left      seconds that the rest of the task takes at this rate; NaN before the first batch
     */
    void onAnswers(String task, int answered, int questions, double left);
}
