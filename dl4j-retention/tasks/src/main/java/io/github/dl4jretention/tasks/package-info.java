/**
 * Benchmarks of tasks: what a model can do before and after finetuning. Start at {@link
 * io.github.dl4jretention.tasks.TaskSuite}. Calls its subpackages, {@code lm}, the core, DL4J and ND4J.
 */
@NullMarked
package io.github.dl4jretention.tasks;

import org.jspecify.annotations.NullMarked;
