/**
 * Task files and the files of questions that they name, as data sets are published. Start at {@link
 * io.github.dl4jretention.tasks.file.TaskDefinition}. Calls {@code tasks.metric} and the core.
 */
@NullMarked
package io.github.dl4jretention.tasks.file;

import org.jspecify.annotations.NullMarked;
