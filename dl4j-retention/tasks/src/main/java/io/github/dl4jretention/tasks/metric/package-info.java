/**
 * What is right and how sure that is: filters that find an answer in what a model wrote, rules by which two answers are the
 * same, and statistics. Calls nothing else of this library.
 */
@NullMarked
package io.github.dl4jretention.tasks.metric;

import org.jspecify.annotations.NullMarked;
