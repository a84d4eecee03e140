/**
 * Runs programs that a model wrote, which may do anything. Start at {@link
 * io.github.dl4jretention.tasks.sandbox.CodeSandbox}. Calls nothing else of this library.
 */
@NullMarked
package io.github.dl4jretention.tasks.sandbox;

import org.jspecify.annotations.NullMarked;
